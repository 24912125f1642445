"""`cr7_det`: CR7-DET (Chen et al.), cold-rolled steel strip, 7 defects, YOLO boxes in folders of its names.

    lengzha/image/dents1.jpg
    lengzha/label/dents1.txt    the same names; the numbers of the classes are named nowhere in the set

No image is normal. A box has its number's class, which differs from the file name's for 273 of 11,020 boxes.
"""

import json
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, annotated, layout, unmarked
from pipelines.layouts.tree import Tree

CATEGORY, IMAGES, LABELS = "steel_strip", "image", "label"
NAMES = ["inclusion", "dent", "oil_spot", "pit", "punching", "linear", "macular"]
NAME = re.compile(r"(inclusions|dents|oil[ _]spots|pits|punching|linear|macular)\d+")


def _text_of(image: PurePosixPath) -> PurePosixPath:
    return image.parent.with_name(LABELS) / f"{image.stem}.txt"


def _fits(tree: Tree) -> bool:
    shown = [path for path in tree.images if path.parts[-2:-1] == (IMAGES,)]
    return bool(shown) and all(
        NAME.fullmatch(path.stem) and _text_of(path) in tree.files for path in shown[:50]
    )


@layout(fits=_fits)
def cr7_det(tree: Tree) -> Iterable[Entry]:
    """One category, `steel_strip`; an image without text is unlabelled, a text without image a fault."""
    content, used = json.dumps(NAMES), set()
    for path in tree.images:
        if path.parts[-2:-1] != (IMAGES,):
            continue
        text = _text_of(path)
        if text not in tree.files:
            yield unmarked(path, CATEGORY)
            continue
        used.add(text)
        yield annotated(path, CATEGORY, Annotation("yolo", (str(text),), content=content))
    for path in tree.ending(".txt"):
        if path.parts[-2:-1] == (LABELS,) and path not in used:
            yield Entry(str(path), CATEGORY, fault="it is the annotation of no image here")
