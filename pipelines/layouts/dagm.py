"""`dagm`: the DAGM 2007 competition's textures.

ClassN/{Train,Test}/0576.PNG
ClassN/{Train,Test}/Label/0576_label.PNG     an ellipse around the defect; only defective images have one
"""

from collections.abc import Iterable

from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, annotated, layout, normal
from pipelines.layouts.tree import Tree

LABEL, MASK_SUFFIX = "Label", "_label"


@layout(
    fits=lambda tree: any(
        path.stem.endswith(MASK_SUFFIX)
        and path.parts[-2:-1] == (LABEL,)
        and path.parts[0].startswith("Class")
        for path in tree.images
    )
)
def dagm(tree: Tree) -> Iterable[Entry]:
    """Categories `dagm_class1` … `dagm_class10`: each is a texture with one kind of defect, `defect`."""
    for path in tree.images:
        if path.parts[-2:-1] == (LABEL,) or len(path.parts) < 2:
            continue
        category = f"dagm_{path.parts[0].lower()}"
        names = (f"{path.stem}{MASK_SUFFIX}{suffix}" for suffix in (path.suffix, ".PNG", ".png"))
        masks = [mask for name in names if (mask := path.parent / LABEL / name) in tree.files]
        if masks:
            yield annotated(path, category, Annotation("mask", (str(masks[0]),), "defect"))
        else:
            yield normal(path, category)
