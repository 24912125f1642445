"""`kolektor_sdd`: `kosNN/PartN.jpg`, the mask beside it as `PartN_label.bmp` (Tabernik et al.)."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, layout
from pipelines.layouts.tree import Tree

MASK_SUFFIX = "_label"
CATEGORY = "commutator"


def _is_mask(path: PurePosixPath) -> bool:
    return path.stem.endswith(MASK_SUFFIX) and path.suffix.lower() == ".bmp"


@layout(
    fits=lambda tree: any(
        _is_mask(path) and len(path.parts) > 1 and path.parts[-2].startswith("kos") for path in tree.images
    )
)
def kolektor_sdd(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `commutator`; every image has a mask, and an empty one means normal."""
    stems = {path.with_suffix("") for path in tree.images if not _is_mask(path)}
    for path in tree.images:
        mask = path.with_name(f"{path.stem}{MASK_SUFFIX}.bmp")
        if _is_mask(path):
            if path.with_name(path.stem.removesuffix(MASK_SUFFIX)) not in stems:
                yield LostLabel(str(path), NO_IMAGE)
        elif mask in tree.files:
            annotation = Annotation("index_mask", (str(mask),), "defect", empty_is_normal=True)
            yield annotated(path, CATEGORY, annotation)
        else:
            yield Entry(str(path), CATEGORY)
