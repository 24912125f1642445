"""`mvia_metal`: Casting Billet and Steel Pipe (Liu et al., the method's own sets), boxes and pixel masks.

    images/Sc_1.jpg
    labels/Sc_1.txt      YOLO boxes
    mask/Sc_1.png
    annotations/*.json, train_mini_500.txt, val.txt    not read: the same boxes, and lists of splits

The authors' page has no download yet; the form is what their own scripts read. There an image without a text
file is normal.
"""

import json
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import (
    NO_IMAGE,
    Entry,
    LostLabel,
    annotated,
    doubt_of,
    layout,
    normal_unless,
    unmarked,
)
from pipelines.layouts.tree import Tree

IMAGES, LABELS, MASKS = "images", "labels", "mask"
BILLET, PIPE = "casting_billet", "steel_pipe"
NAMES = {
    BILLET: ["scratch", "weld_slag", "cutting_opening", "water_slag_mark", "slag_skin", "longitudinal_crack"],
    PIPE: ["warp", "external_fold", "wrinkle", "scratch"],
}
BILLET_NAME = re.compile(r"(Sc|Ws|Co|WSM|Ss|Lc)_.+")


def _beside(image: PurePosixPath, folder: str, suffix: str) -> PurePosixPath:
    return image.parent.with_name(folder) / f"{image.stem}{suffix}"


def _photographs(tree: Tree) -> list[PurePosixPath]:
    return [path for path in tree.images if path.parts[-2:-1] == (IMAGES,)]


def _fits(tree: Tree) -> bool:
    """Whether it looks like Casting Billet; Steel Pipe has no names of its own and must be named."""
    return any(
        BILLET_NAME.fullmatch(path.stem)
        and _beside(path, MASKS, ".png") in tree.files
        and _beside(path, LABELS, ".txt") in tree.files
        for path in _photographs(tree)
    )


@layout(fits=_fits)
def mvia_metal(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `casting_billet`, or `steel_pipe` where no image has a name of the first.

    An image without text and mask is normal, unless a label is lost; one with either alone is unlabelled.
    """
    photographs = _photographs(tree)
    category = BILLET if any(BILLET_NAME.fullmatch(path.stem) for path in photographs) else PIPE
    content = json.dumps(NAMES[category])
    texts = {path for path in tree.ending(".txt") if path.parts[-2:-1] == (LABELS,)}
    masks = {path for path in tree.images if path.parts[-2:-1] == (MASKS,)}
    own = {
        one for path in photographs for one in (_beside(path, LABELS, ".txt"), _beside(path, MASKS, ".png"))
    }
    lost = sorted((texts | masks) - own)
    yield from (LostLabel(str(path), NO_IMAGE) for path in lost)
    doubt = doubt_of(tree.uri(PurePosixPath(LABELS)), lost)
    for path in photographs:
        text, mask = _beside(path, LABELS, ".txt"), _beside(path, MASKS, ".png")
        if text in texts and mask in masks:
            note = Annotation("boxed_mask", (str(text), str(mask)), content=content, empty_is_normal=True)
            yield annotated(path, category, note)
        elif text in texts or mask in masks:
            yield unmarked(path, category)
        else:
            yield normal_unless(doubt, path, category)
