"""`mvtec`: MVTec AD and MVTec LOCO AD (Bergmann et al.), and VisA as its authors' script converts it.

    CATEGORY/train/good/NAME.png
    CATEGORY/test/good/NAME.png
    CATEGORY/test/DEFECT/NAME.png
    CATEGORY/ground_truth/DEFECT/NAME_mask.png     MVTec AD
    CATEGORY/ground_truth/DEFECT/NAME.png          VisA
    CATEGORY/ground_truth/DEFECT/NAME/000.png …    MVTec LOCO AD, one mask a defect

The root may be a single category's folder too, whose name is then the category.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, layout, normal, unmarked
from pipelines.layouts.tree import Tree

TRUTH, GOOD = "ground_truth", "good"


def _fits(tree: Tree) -> bool:
    return any(TRUTH in path.parts[:2] for path in tree.images) and any(
        path.parts[-3:-1] == ("train", GOOD) for path in tree.images
    )


@layout(fits=_fits)
def mvtec(tree: Tree) -> Iterable[Entry | LostLabel]:
    """All images of `train`, `validation` and `test`; their split counts with `corpus.split=published`."""
    masks: dict[tuple[str, ...], list[str]] = defaultdict(list)  # by path without ground_truth and suffix
    for path in tree.images:
        home, inner = _halves(tree, path)
        if len(inner) >= 3 and inner[0] == TRUTH:
            stem = PurePosixPath(inner[2]).stem.removesuffix("_mask") if len(inner) == 3 else inner[2]
            masks[home, inner[1], stem].append(str(path))
    used: set[tuple[str, ...]] = set()
    for path in tree.images:
        home, inner = _halves(tree, path)
        if len(inner) != 3 or inner[0] not in {"train", "validation", "test"}:
            continue
        files = masks.get((home, inner[1], path.stem))
        used.add((home, inner[1], path.stem))
        if inner[1] == GOOD:
            yield normal(path, home)
        elif files:
            # LOCO's masks hold a number per kind of defect, the others' are 0 and 255.
            several = PurePosixPath(files[0]).parts[-2] == path.stem
            annotation = Annotation("index_mask" if several else "mask", tuple(files), inner[1])
            yield annotated(path, home, annotation)
        else:
            yield unmarked(path, home)
    for place in sorted(masks.keys() - used):
        yield from (LostLabel(file, NO_IMAGE) for file in masks[place])


def _halves(tree: Tree, path: PurePosixPath) -> tuple[str, tuple[str, ...]]:
    """The category, and the path below its folder."""
    if path.parts[0] in {"train", "validation", "test", TRUTH}:
        return tree.root.path.rsplit("/", 1)[-1], path.parts
    return path.parts[0], path.parts[1:]
