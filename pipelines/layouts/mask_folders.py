"""`mask_folders`: photographs in one folder, pixel masks of the same names in a folder beside it.

    […/](images|img|imgs|image)/NAME.ext
    […/](masks|mask|labels|annotations|ground_truth|gt)/NAME.png, also NAME_mask.png

For Rubber Rings and other sets of one object. A split may have folders of its own (train/images,
train/masks; images/train, masks/train). A mask is 0 where there is no defect, all else is the class
`defect`; an image with an empty mask is normal.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, SURFACE, Entry, LostLabel, annotated, layout
from pipelines.layouts.tree import Tree

IMAGES = frozenset({"images", "image", "imgs", "img"})
MASKS = ("masks", "mask", "labels", "annotations", "ground_truth", "gt")
LABEL = "defect"


def _masks_of(path: PurePosixPath) -> Iterator[str]:
    """Where an image's mask may be, without a suffix and in small letters."""
    for place, part in enumerate(path.parts[:-1]):
        if part.lower() in IMAGES:
            for name in MASKS:
                stem = PurePosixPath(*path.parts[:place], name, *path.parts[place + 1 :]).with_suffix("")
                yield str(stem).lower()
                yield f"{stem}_mask".lower()


def _pairs(tree: Tree) -> dict[PurePosixPath, list[PurePosixPath]]:
    """Image → its masks: one, or several where the tree is at fault."""
    known: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in tree.images:
        known[str(path.with_suffix("")).lower()].append(path)
    masks = {path: [mask for stem in _masks_of(path) for mask in known.get(stem, ())] for path in tree.images}
    return {path: files for path, files in masks.items() if files}


@layout(fits=lambda tree: bool(_pairs(tree)))
def mask_folders(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `surface` unless the source names another; an image without a mask is unlabelled.

    An image with several masks is a fault, as are images that share one; a mask without image is a lost
    label.
    """
    pairs = _pairs(tree)
    uses = Counter(mask for files in pairs.values() for mask in files)
    for path in tree.images:
        files = pairs.get(path, [])
        several = ", ".join(str(file) for file in files[:3])
        if len(files) > 1:
            yield Entry(str(path), SURFACE, fault=f"several masks may be its own: {several}")
        elif files and uses[files[0]] > 1:
            yield Entry(str(path), SURFACE, fault=f"its mask is that of other images too: {several}")
        elif files:
            note = Annotation("index_mask", (str(files[0]),), LABEL, empty_is_normal=True)
            yield annotated(path, SURFACE, note)
        elif path not in uses and any(part.lower() in IMAGES for part in path.parts[:-1]):
            yield Entry(str(path), SURFACE)
        elif path not in uses and any(part.lower() in MASKS for part in path.parts[:-1]):
            yield LostLabel(str(path), NO_IMAGE)
