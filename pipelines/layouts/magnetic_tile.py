"""`magnetic_tile`: `MT_DEFECT/Imgs/NAME.jpg`, the mask beside it as `NAME.png` (Huang et al.)."""

from collections.abc import Iterable

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, is_normal, layout, normal, unmarked
from pipelines.layouts.tree import Tree

PREFIX = "MT_"
CATEGORY = "magnetic_tile"


@layout(fits=lambda tree: all(path.parts[0].startswith(PREFIX) for path in tree.images))
def magnetic_tile(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category; `MT_Free` is normal (its masks are empty and not read)."""
    photographs = {path.with_suffix("") for path in tree.images if path.suffix.lower() != ".png"}
    for path in tree.images:
        if len(path.parts) < 2:
            continue
        if path.suffix.lower() == ".png":
            if path.with_suffix("") not in photographs:
                yield LostLabel(str(path), NO_IMAGE)
            continue
        defect = path.parts[0].removeprefix(PREFIX).lower()
        mask = path.with_suffix(".png")
        if is_normal(defect):
            yield normal(path, CATEGORY)
        elif mask in tree.files:
            yield annotated(path, CATEGORY, Annotation("mask", (str(mask),), defect))
        else:
            yield unmarked(path, CATEGORY)
