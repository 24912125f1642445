"""`fssd_12`: FSSD-12 (Feng et al., CPANet), hot-rolled steel strip, 12 defects, 50 images of each with masks.

    Steel_Am/Images/Steel_Am_1.jpg
    Steel_Am/GT/Steel_Am_1.png
    Steel_Am/Nd/…                  a third folder of each, not described; its images are unlabelled here

The authors give the archive's password by mail, so this form is as code of others that reads it shows it.
"""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, layout, unmarked
from pipelines.layouts.tree import Tree

CATEGORY, PREFIX = "steel_strip", "steel_"
IMAGES, MASKS = "images", "gt"
DEFECTS = {  # by what follows the prefix of a folder, in any case
    "am": "abrasion_mask",
    "ia": "iron_sheet_ash",
    "la": "iron_sheet_ash",  # a capital I that reads as an l
    "ld": "liquid",
    "op": "oxide_scale",
    "os": "oil_spot",
    "pa": "patch",
    "pk": "punching",
    "ri": "red_iron_sheet",
    "rp": "roll_printing",
    "sc": "scratch",
    "se": "inclusion",
    "ws": "water_spot",
}


def _defect(path: PurePosixPath) -> str | None:
    """The defect of the class folder that an image lies in; None elsewhere."""
    folder = path.parts[-3].lower() if len(path.parts) >= 3 else ""
    return DEFECTS.get(folder.removeprefix(PREFIX)) if folder.startswith(PREFIX) else None


@layout(fits=lambda tree: any(_defect(path) and path.parts[-2].lower() == IMAGES for path in tree.images))
def fssd_12(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `steel_strip`; no image is known to be normal. An image without a mask is unlabelled."""
    masks = {
        (path.parts[:-2], path.stem): path
        for path in tree.images
        if _defect(path) and path.parts[-2].lower() == MASKS
    }
    used = set()
    for path in tree.images:
        defect, place = _defect(path), (path.parts[:-2], path.stem)
        if defect is None or path.parts[-2].lower() == MASKS:
            continue
        if path.parts[-2].lower() != IMAGES:
            yield Entry(str(path), CATEGORY)
        elif place in masks:
            used.add(place)
            yield annotated(path, CATEGORY, Annotation("mask", (str(masks[place]),), defect))
        else:
            yield unmarked(path, CATEGORY)
    for place in sorted(masks.keys() - used):
        yield LostLabel(str(masks[place]), NO_IMAGE)
