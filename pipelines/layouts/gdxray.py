"""`gdxray`: X-ray series of GDXray (Mery et al.), as published; the castings are the second paper's.

    [Castings/]C0001/C0001_0001.png   a series a folder, a letter a group: B, C, N, S, W
    [Castings/]C0001/ground_truth.txt lines of `image x1 x2 y1 y2`, pixels counted from 1, both ends included
    [Castings/]C0001/masks/           where somebody has drawn them: C0001_0001.png, or C0001_0001_*.png, one
                                      an object; they count before the boxes

A series without ground truth is unlabelled; in a series with it, an image without a line is normal.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, annotated, layout, normal
from pipelines.layouts.tree import Tree

SERIES = re.compile(r"[BCNSW]\d{4}")
TABLE, MASKS = "ground_truth.txt", "masks"
GROUPS = {"B": "baggage", "C": "casting", "N": "nature", "S": "settings", "W": "weld"}
LABEL = "defect"
NUMBER = re.compile(r"_(\d{4,})$")


def _in_series(path: PurePosixPath) -> bool:
    return len(path.parts) > 1 and bool(SERIES.fullmatch(path.parent.name))


@layout(
    fits=lambda tree: any(_in_series(path) and path.stem.startswith(path.parent.name) for path in tree.images)
)
def gdxray(tree: Tree) -> Iterable[Entry]:
    """One category a group, `casting` for the castings; one defect class, `defect`.

    A line that is no box of an image of its series is a fault.
    """
    tables = {path.parent: path for path in tree.files if path.name == TABLE and _in_series(path)}
    masks: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = defaultdict(list)
    for path in tree.images:
        if path.parent.name == MASKS and SERIES.fullmatch(path.parent.parent.name):
            stem = re.match(r"[BCNSW]\d{4}_\d{4,}", path.stem)
            masks[path.parent.parent, stem[0] if stem else path.stem].append(path)
    boxes: dict[PurePosixPath, dict[int, list[list[float]]]] = {}
    for series, table in tables.items():
        boxes[series], faults = _read(tree, table)
        for line in faults:
            yield Entry(str(table), _category(series), fault=f"line {line} of {tree.uri(table)} is no box")
    for path in tree.images:
        if not _in_series(path):
            continue
        series, match = path.parent, NUMBER.search(path.stem)
        drawn = masks.get((series, path.stem))
        category = _category(series)
        if drawn:
            yield annotated(path, category, Annotation("index_mask", tuple(map(str, drawn)), LABEL))
            continue
        if series not in boxes:
            yield Entry(str(path), category)
            continue
        image_boxes = boxes[series].pop(int(match[1]), []) if match else []
        if not image_boxes:
            yield normal(path, category)
            continue
        objects = [{"bbox": box, "label": LABEL} for box in image_boxes]
        content = json.dumps({"size": None, "objects": objects})
        yield annotated(path, category, Annotation("coco", (str(tables[series]),), content=content))
    for series, left in boxes.items():
        for number in sorted(left):
            fault = f"{tree.uri(tables[series])} names image {number}, which is not there"
            yield Entry(f"{series}/{series.name}_{number:04d}.png", _category(series), fault=fault)


def _category(series: PurePosixPath) -> str:
    return GROUPS[series.name[0]]


def _read(tree: Tree, table: PurePosixPath) -> tuple[dict[int, list[list[float]]], list[int]]:
    """Boxes (x, y, width, height) by image number, and the numbers of the lines that are no box."""
    boxes: dict[int, list[list[float]]] = defaultdict(list)
    faults = []
    text = tree.read(table).decode("utf-8", errors="replace")
    for place, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            number, x1, x2, y1, y2 = (float(word) for word in words)
        except ValueError:
            faults.append(place)
            continue
        if not all(map(math.isfinite, (number, x1, x2, y1, y2))) or number != int(number) or number < 0:
            faults.append(place)
            continue
        boxes[int(number)].append([x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1])
    return dict(boxes), faults
