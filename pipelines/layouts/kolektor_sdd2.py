"""`kolektor_sdd2`: `{train,test}/NNNNN.png`, the mask beside it as `NNNNN_GT.png` (Božič et al.)."""

from collections.abc import Iterable

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, SURFACE, Entry, LostLabel, annotated, layout
from pipelines.layouts.tree import Tree

MARK = "_GT"
FOLDERS = {"train", "test"}


@layout(
    fits=lambda tree: any(
        path.stem.endswith(MARK) and len(path.parts) > 1 and path.parts[-2] in FOLDERS for path in tree.images
    )
)
def kolektor_sdd2(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `surface`; every image has a mask, and an empty one means normal.

    The folders' split counts with `corpus.split=published`. A mask's copy (`NNNNN_GT (copy).png`) is no
    image.
    """
    stems = {path.with_suffix("") for path in tree.images if MARK not in path.stem}
    for path in tree.images:
        mask = path.with_name(f"{path.stem}{MARK}.png")
        if MARK in path.stem:
            if path.with_name(path.stem.partition(MARK)[0]) not in stems:
                yield LostLabel(str(path), NO_IMAGE)
        elif mask in tree.files:
            annotation = Annotation("index_mask", (str(mask),), "defect", empty_is_normal=True)
            yield annotated(path, SURFACE, annotation)
        else:
            yield Entry(str(path), SURFACE)
