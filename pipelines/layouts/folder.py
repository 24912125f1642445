"""`folder`: unlabelled images; category = first folder, normal samples in `references` or `good` below it."""

import re
from collections.abc import Iterable
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


def _masks(images: Iterable[PurePosixPath]) -> dict[PurePosixPath, PurePosixPath]:
    """Files that are named as masks → the image that they are named for."""
    beside, elsewhere = dict[PurePosixPath, PurePosixPath](), dict[str, PurePosixPath]()
    suspects = []
    for path in images:
        in_folder = any(part.lower() in MASK_FOLDERS for part in path.parts[:-1])
        if in_folder or MASK_END.search(path.stem):
            suspects.append((path, in_folder))
        if not in_folder:
            beside.setdefault(path.with_suffix(""), path)
            elsewhere.setdefault(path.stem, path)
    named = {}
    for path, in_folder in suspects:
        stem = MASK_END.sub("", path.stem)
        image = beside.get(path.with_name(stem)) if stem != path.stem else None
        if image is None and in_folder:
            image = elsewhere.get(stem) or elsewhere.get(path.stem)
        if image is not None:
            named[path] = image
    return named
