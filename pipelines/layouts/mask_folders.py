"""`mask_folders`: photographs in one folder, pixel masks of the same names in a folder beside it.

    […/](images|img|imgs|image)/NAME.ext
    […/](masks|mask|labels|annotations|ground_truth|gt)/NAME.png, also NAME_mask.png

For Rubber Rings and other sets of one object. A split may have folders of its own (train/images,
train/masks; images/train, masks/train). A mask is 0 where there is no defect, all else is the class
`defect`; an image with an empty mask is normal.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import SURFACE, Entry, annotated, layout
from pipelines.layouts.tree import Tree

IMAGES = frozenset({"images", "image", "imgs", "img"})
MASKS = ("masks", "mask", "labels", "annotations", "ground_truth", "gt")
LABEL = "defect"


def _masks_of(path: PurePosixPath) -> Iterator[PurePosixPath]:
    """Where an image's mask may be, without a suffix."""
    for place, part in enumerate(path.parts[:-1]):
        if part.lower() in IMAGES:
            for name in MASKS:
                stem = PurePosixPath(*path.parts[:place], name, *path.parts[place + 1 :]).with_suffix("")
                yield stem
                yield stem.with_name(f"{stem.name}_mask")


def _pairs(tree: Tree) -> dict[PurePosixPath, PurePosixPath]:
    """Image → mask."""
    known = {path.with_suffix(""): path for path in tree.images}
    return {
        path: known[stem] for path in tree.images for stem in _masks_of(path) if known.get(stem) is not None
    }


@layout(fits=lambda tree: bool(_pairs(tree)))
def mask_folders(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another; an image without a mask is unlabelled."""
    pairs = _pairs(tree)
    used = set(pairs.values())
    for path in tree.images:
        if path in pairs:
            note = Annotation("index_mask", (str(pairs[path]),), LABEL, empty_is_normal=True)
            yield annotated(path, SURFACE, note)
        elif path not in used and any(part.lower() in IMAGES for part in path.parts[:-1]):
            yield Entry(str(path), SURFACE)
