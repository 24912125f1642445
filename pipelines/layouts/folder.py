"""`folder`: unlabelled images; category = first folder, normal samples in `references` or `good` below it."""

import re
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

from pipelines.layouts.base import SURFACE, Entry, is_normal, layout
from pipelines.layouts.tree import Tree

MASK_END = re.compile(r"[ _.-](masks?|gt|ground[ _-]?truth|seg|segmentation)$", re.IGNORECASE)
MASK_FOLDERS = frozenset({"mask", "masks", "gt", "ground_truth", "groundtruth", "ground truth"})


@layout(fits=lambda tree: True)
def folder(tree: Tree) -> Iterable[Entry]:
    """Images of `CATEGORY/**`; images directly in the root belong to the category `surface`.

    A file that is named as the mask of another is no photograph: it is left out with that as its fault.
    """
    masks = _masks(tree.images)
    for path in tree.images:
        category = path.parts[0] if len(path.parts) > 1 else SURFACE
        within = path.parts[1:-1]
        if len(path.parts) == 2 and is_normal(category):  # ROOT/references/x.jpg beside images in ROOT
            category, within = SURFACE, path.parts[:1]
        if path in masks:
            fault = (
                f"it seems to be the mask of {masks[path]}, and the layout folder reads none: name it "
                "CATEGORY/DEFECT/NAME_mask.png beside its image (layout masks), or take it away"
            )
            yield Entry(str(path), category, fault=fault)
        else:
            yield Entry(str(path), category, normal=any(is_normal(part) for part in within))


def _masks(images: Collection[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Files that are named as masks → the image that they are named for."""
    suspects = {
        path: MASK_END.sub("", path.stem)
        for path in images
        if _in_mask_folder(path) or MASK_END.search(path.stem)
    }
    # Of the names that they are named for alone the first image is kept: few of a million.
    beside = {path.with_name(stem) for path, stem in suspects.items() if stem}
    stems = set(suspects.values()) | {path.stem for path in suspects}
    own, anywhere = dict[PurePosixPath, PurePosixPath](), dict[str, PurePosixPath]()
    for path in images if suspects else ():
        if path.stem in stems and not _in_mask_folder(path):
            anywhere.setdefault(path.stem, path)
            if (place := path.with_suffix("")) in beside:
                own.setdefault(place, path)
    named = {}
    for path, stem in suspects.items():
        image = own.get(path.with_name(stem)) if stem and stem != path.stem else None
        if image is None and _in_mask_folder(path):
            image = anywhere.get(stem) or anywhere.get(path.stem)
        if image is not None:
            named[path] = image
    return named


def _in_mask_folder(path: PurePosixPath) -> bool:
    return any(part.lower() in MASK_FOLDERS for part in path.parts[:-1])
