"""`gdxray`: X-ray series of GDXray (Mery et al.), as published; the castings are the second paper's.

    [Castings/]C0001/C0001_0001.png   a series a folder, a letter a group: B, C, N, S, W
    [Castings/]C0001/ground_truth.txt lines of `image x1 x2 y1 y2`, pixels counted from 1, both ends included
    [Castings/]C0001/masks/           where somebody has drawn them: C0001_0001.png, or C0001_0001_*.png, one
                                      an object; they count before the boxes

A series without ground truth is unlabelled; in a series with it, an image without a line is normal, unless
the series has lines that belong to no image or are no box.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, doubt_of, layout, normal_unless
from pipelines.layouts.tree import Tree

SERIES = re.compile(r"[BCNSW]\d{4}")
TABLE, MASKS = "ground_truth.txt", "masks"
GROUPS = {"B": "baggage", "C": "casting", "N": "nature", "S": "settings", "W": "weld"}
LABEL = "defect"
NUMBER = re.compile(r"_(\d{4,9})$", re.ASCII)
MAX_NUMBER = 10**9


def _in_series(path: PurePosixPath) -> bool:
    return len(path.parts) > 1 and bool(SERIES.fullmatch(path.parent.name))


@layout(
    fits=lambda tree: any(_in_series(path) and path.stem.startswith(path.parent.name) for path in tree.images)
)
def gdxray(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category a group, `casting` for the castings; one defect class, `defect`.

    A line that is no box is a fault of the image that it names, or a lost label where it names none; so is a
    drawn mask without an image.
    """
    tables = {path.parent: path for path in tree.files if path.name == TABLE and _in_series(path)}
    truths = {series: _read(tree, table) for series, table in tables.items()}
    masks: dict[tuple[PurePosixPath, str], list[PurePosixPath]] = defaultdict(list)
    images: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for path in tree.images:
        if path.parent.name == MASKS and SERIES.fullmatch(path.parent.parent.name):
            stem = re.match(r"[BCNSW]\d{4}_\d{4,}", path.stem)
            masks[path.parent.parent, stem[0] if stem else path.stem].append(path)
        elif _in_series(path):
            images[path.parent].append(path)
    stems = {(path.parent, path.stem) for paths in images.values() for path in paths}
    homeless = sorted(masks.keys() - stems)
    for key in homeless:
        yield from (LostLabel(str(mask), NO_IMAGE) for mask in masks[key])
    for series, paths in images.items():
        drawn = {path: masks[key] for path in paths if (key := (series, path.stem)) in masks}
        for path, files in drawn.items():
            yield annotated(path, _category(series), Annotation("index_mask", tuple(map(str, files)), LABEL))
        others = [path for path in paths if path not in drawn]
        if series in truths:
            lost_masks = any(home == series for home, _ in homeless)
            yield from _boxed(tree, tables[series], truths[series], drawn, others, lost_masks=lost_masks)
        else:
            yield from (Entry(str(path), _category(series)) for path in others)


def _boxed(
    tree: Tree,
    table: PurePosixPath,
    truth: "_Truth",
    drawn: Iterable[PurePosixPath],
    images: list[PurePosixPath],
    *,
    lost_masks: bool,
) -> Iterable[Entry | LostLabel]:
    """A series' images that have no drawn mask, as its table says.

    Args:
        tree: all files.
        table: path of the table.
        truth: what it says.
        drawn: images of the series that have a drawn mask.
        images: the others.
        lost_masks: whether the series has drawn masks without an image.
    """
    series, where = table.parent, tree.uri(table)
    category = _category(series)
    numbers = {path: int(match[1]) if (match := NUMBER.search(path.stem)) else None for path in images}
    known = Counter(numbers.values())
    masked = {int(match[1]) for path in drawn if (match := NUMBER.search(path.stem))}
    gone = sorted((truth.boxes.keys() | truth.broken.keys()) - known.keys() - masked)
    for absent in gone:
        fault = f"{where} names image {absent}, which is not there"
        yield Entry(f"{series}/{series.name}_{absent:04d}.png", category, fault=fault)
    for line in truth.lost:
        yield LostLabel(str(table), "the line is no box of an image", line)
    doubt = doubt_of(where, [*truth.lost, *gone]) or doubt_of(f"{tree.uri(series / MASKS)}", [1] * lost_masks)
    if doubt is None and truth.broken:  # two lines may have become one, or its number be cut short
        line = min(truth.broken.values())
        doubt = f"nothing is listed for it, but line {line} of {where} is no box: it may be its own"
    for path, number in numbers.items():
        if number is None:
            yield Entry(str(path), category)
        elif number in truth.broken:
            yield Entry(str(path), category, fault=f"line {truth.broken[number]} of {where} is no box")
        elif number not in truth.boxes:
            yield normal_unless(doubt, path, category)
        elif known[number] > 1:
            yield Entry(str(path), category, fault=f"{where} may mean several images of number {number}")
        else:
            content = json.dumps({"size": None, "objects": truth.boxes[number]})
            yield annotated(path, category, Annotation("coco", (str(table),), content=content))


def _category(series: PurePosixPath) -> str:
    return GROUPS[series.name[0]]


@dataclass
class _Truth:
    """A series' table: objects by image number, and the lines that are no box, by image number or not."""

    boxes: dict[int, list[dict[str, object]]] = field(default_factory=lambda: defaultdict(list))
    broken: dict[int, int] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)


def _read(tree: Tree, table: PurePosixPath) -> _Truth:
    truth = _Truth()
    text = tree.read(table).decode("utf-8", errors="replace")
    for line, words in enumerate((line.split() for line in text.splitlines()), start=1):
        if not words:
            continue
        values = [_number(word) for word in words]
        number = values[0]
        if not (math.isfinite(number) and number == int(number) and 0 <= number < MAX_NUMBER):
            truth.lost.append(line)
        elif len(values) != 5 or not all(map(math.isfinite, values)):
            truth.broken.setdefault(int(number), line)
        else:
            x1, x2, y1, y2 = values[1:]
            box = [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1]
            truth.boxes[int(number)].append({"id": f"of line {line}", "bbox": box, "label": LABEL})
    return truth


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan
