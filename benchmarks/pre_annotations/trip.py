"""There and back: a boxes table exported, corrected, and read by the layout of the format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.pre_annotations.corrections import ADD, CORRECTORS, MOVE, REMOVE, Correction, Corrections
from cluster.storage import Storage
from pipelines.annotations import read_truth
from pipelines.boxes import CLASS_NAME
from pipelines.corpus import CorpusSection, Listing
from pipelines.labelling import ExportOptions, export_boxes
from pipelines.tables import BOXES

Found = dict[str, list[tuple[float, float, float, float, str]]]  # boxes by the image's name, in order
LAYOUT_OF = {"label-studio": "label_studio"}  # where the layout's name is not the format's
IMAGE_FOLDERS = {"yolo": "images/", "voc": "JPEGImages/"}


@dataclass(frozen=True)
class Picture:
    """One image of a trip: its path below the root, and its size in pixels."""

    name: str
    width: int
    height: int


def boxes_table(root: Path, pictures: Sequence[Picture], seed: int) -> pa.Table:
    """Random boxes with odd fractions, at least one an image, in the schema of the boxes table."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, picture in enumerate(pictures):
        boxes = []
        for _ in range(int(rng.integers(1, 5))):
            width, height = rng.uniform(6, picture.width / 2), rng.uniform(6, picture.height / 2)
            x, y = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
            boxes.append({"x0": x, "y0": y, "x1": x + width, "y1": y + height, "score": rng.uniform(0, 1.5)})
        boxes.sort(key=lambda box: -box["score"])
        about = {"image_id": f"{number:032x}", "uri": str(root / picture.name), "category": "strip & <plate>"}
        rows.append({**about, "width": picture.width, "height": picture.height, "boxes": boxes})
    return pa.Table.from_pylist(rows, schema=BOXES)


def corrections_of(pictures: Sequence[Picture], label: str) -> Corrections:
    """Of every four images one is moved, one loses a box, one gets one, and one stays as it is."""
    kinds = (MOVE, REMOVE, ADD, None)
    made = {}
    for number, picture in enumerate(pictures):
        kind = kinds[number % 4]
        if kind is not None:
            corners = (3.0, 5.0, float(picture.width // 2), float(picture.height // 3 + 6))
            made[picture.name] = Correction(kind, corners, label, picture.width, picture.height)
    return made


def expected(table: pa.Table, root: Path, corrections: Corrections) -> Found:
    """What is to be found after the corrections."""
    found: Found = {}
    for row in table.to_pylist():
        name = str(Path(row["uri"]).relative_to(root))
        boxes = [(box["x0"], box["y0"], box["x1"], box["y1"], CLASS_NAME) for box in row["boxes"]]
        change = corrections.get(name)
        if change is not None and change.kind == ADD:
            boxes.append((*change.corners, change.label))
        elif change is not None:
            boxes[:1] = [(*change.corners, CLASS_NAME)] if change.kind == MOVE else []
        found[name] = boxes
    return found


def exported(table: pa.Table, root: Path, folder: Path, to: str, **options: Any) -> Mapping[str, Any]:
    """Write the table, and its boxes for a tool, into `folder / to`."""
    source = Storage.open(str(folder / "stage"))
    source.write_table("boxes.parquet", table)
    request = ExportOptions(to, str(folder / to), **options)
    return export_boxes(
        source, "boxes.parquet", request, roots=[str(root)], classes=[CLASS_NAME], model="agssp boxes"
    )


def read_back(folder: Path, to: str, sizes: Mapping[str, tuple[int, int]]) -> Found:
    """Boxes by the image's name, as a corpus of that layout reads them; a fault of any image is raised."""
    layout = LAYOUT_OF.get(to, to)
    (source,) = Listing(CorpusSection(root=str(folder), layout=layout, follow_links=True)).sources
    if source.passed_over:
        raise ValueError(f"files of the export are taken for unread labels: {source.passed_over}")
    found: Found = {}
    for entry in source.entries:
        if entry.fault is not None:
            raise ValueError(f"{entry.path}: {entry.fault}")
        name = entry.path.removeprefix(IMAGE_FOLDERS.get(to, ""))
        annotation = source.truth(entry)  # none where a tool doesn't tell "no defect" from "not seen"
        boxes = read_truth(annotation, *sizes[name]).boxes if annotation is not None else ()
        found[name] = [(box.x0, box.y0, box.x1, box.y1, box.label) for box in boxes]
    return found


def farthest(found: Found, wanted: Found) -> float:
    """How far a side is from where it should be at most, pixels; infinite where boxes or classes differ."""
    if found.keys() != wanted.keys():
        return float("inf")
    distance = 0.0
    for name, boxes in wanted.items():
        if [box[4] for box in found[name]] != [box[4] for box in boxes]:
            return float("inf")
        for one, other in zip(found[name], boxes, strict=True):
            distance = max(distance, *(abs(a - b) for a, b in zip(one[:4], other[:4], strict=True)))
    return distance


def there_and_back(
    table: pa.Table,
    root: Path,
    pictures: Sequence[Picture],
    folder: Path,
    to: str,
    read: Callable[[Path, str, Mapping[str, tuple[int, int]]], Found] = read_back,
) -> float:
    """Export with a second class, correct, read; the largest distance of a side, pixels."""
    corrections = corrections_of(pictures, "scratch")
    exported(table, root, folder, to, classes=("scratch",))
    CORRECTORS[to](folder / to, corrections)
    sizes = {picture.name: (picture.width, picture.height) for picture in pictures}
    return farthest(read(folder / to, to, sizes), expected(table, root, corrections))
