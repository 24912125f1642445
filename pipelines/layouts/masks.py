"""`masks`: `CATEGORY/(good|DEFECT)/NAME.ext` with the pixel mask beside it as `NAME_mask.png`."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, is_normal, layout, normal, unmarked
from pipelines.layouts.tree import Tree

MASK_SUFFIX = "_mask"


def _is_mask(path: PurePosixPath) -> bool:
    return path.stem.lower().endswith(MASK_SUFFIX)


@layout(fits=lambda tree: any(_is_mask(path) and len(path.parts) == 3 for path in tree.images))
def masks(tree: Tree) -> Iterable[Entry | LostLabel]:
    """Defect images need a mask to count as labelled; those in a `good` folder are labelled as normal."""
    beside: dict[PurePosixPath, list[str]] = defaultdict(list)
    for path in tree.images:
        if _is_mask(path):
            beside[path.with_name(path.stem[: -len(MASK_SUFFIX)])].append(str(path))
    stems = {path.with_suffix("") for path in tree.images if not _is_mask(path)}
    for stem in sorted(beside.keys() - stems):
        yield from (LostLabel(file, NO_IMAGE) for file in beside[stem])
    for path in tree.images:
        if _is_mask(path) or len(path.parts) < 3:
            continue
        category, defect = path.parts[0], path.parts[1]
        mask = beside.get(path.with_suffix(""))
        if is_normal(defect):
            yield normal(path, category)
        elif mask:
            yield annotated(path, category, Annotation("mask", tuple(mask), defect))
        else:
            yield unmarked(path, category)
