"""Label files of every format, and a plain second reading of each: which images a damaged one leaves free.

A new format is one more entry of `FORMATS`.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from tests.pipelines.layouts import published_trees as trees, tool_trees
from tests.pipelines.layouts.plain_tools import (
    cvat_free,
    datumaro_free,
    label_studio_free,
    labelme_free,
    plain_json,
)
from tests.pipelines.layouts.published_trees import HEIGHT, RECT, WIDTH, draw, paint, write

# Whether a label file still says, and says plainly, that an image is free of defects: (its bytes, the image).
Free = Callable[[bytes, str], bool]


@dataclass(frozen=True)
class Format:
    """A clean tree, and the file in it that is damaged.

    Attributes:
        build: function that writes the tree.
        file: path of the file below the root.
        free: what a damaged one says in plain reading.
        layout: name of the layout.
    """

    build: Callable[[Path], Any]
    file: str
    free: Free
    layout: str


def never(data: bytes, image: str) -> bool:
    """The format has no way to say it."""
    return False


def yolo_free(data: bytes, image: str) -> bool:
    """An empty file, where the damaged one is the image's own."""
    try:
        return PurePosixPath(image).stem == "1" and not data.decode("utf-8-sig").split()
    except UnicodeDecodeError:
        return False


def voc_free(data: bytes, image: str) -> bool:
    """XML without a trace of an object."""
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        return False
    return root.tag == "annotation" and not re.search(rb"object|bndbox|xmin", data)


def _same(number: object) -> str:
    return str(number).strip().removesuffix(".0")


def coco_free(data: bytes, image: str) -> bool:
    """JSON that lists the image, and in which every annotation belongs to another listed image."""
    try:
        document = plain_json(data)
        names = {
            _same(one["id"]): re.split(r"[/\\]", str(one["file_name"]))[-1] for one in document["images"]
        }
        shown = [names.get(_same(item.get("image_id"))) for item in document["annotations"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    name = PurePosixPath(image).name
    return name in names.values() and None not in shown and name not in shown


def _rows(data: bytes) -> list[list[str]] | None:
    """A table's rows after its header; None where it is damaged."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if '"' in text:
        return None
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    widths = {len(row) for row in rows}
    whole = len(widths) == 1 and not (rows[-1][-1] == "" and not text.endswith("\n"))
    return rows[1:] if whole and rows[0][-1] == "EncodedPixels" else None


NULLS = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"]
) | {
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "n/a",
    "nan",
    "null",
}


def severstal_free(data: bytes, image: str) -> bool:
    """A table without pixels of the image, whose other rows all name images that are there."""
    rows = _rows(data)
    name = PurePosixPath(image).name
    if rows is None or "train_images" not in image or any(len(row) != 3 for row in rows):
        return False
    shown = [row[0] for row in rows if row[2] not in NULLS]
    explicit = any(row[0] == name for row in rows)
    return name not in shown and (explicit or {"a.jpg", "b.jpg", "c.jpg"} >= set(shown))


def severstal_first_free(data: bytes, image: str) -> bool:
    """A table with four empty rows of the image."""
    rows = _rows(data)
    if rows is None or any(len(row) != 2 for row in rows):
        return False
    name = PurePosixPath(image).name
    own = {row[0]: row[1] for row in rows if row[0].rpartition("_")[0] == name}
    return len({key.removesuffix(".0") for key in own}) == 4 and set(own.values()) <= NULLS


def gdxray_free(data: bytes, image: str) -> bool:
    """Lines of five numbers, the first of them an image that is there, and never this one."""
    numbers = []
    for line in data.decode("utf-8", errors="replace").splitlines():
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            return False
        if values and (len(values) != 5 or not all(map(math.isfinite, values)) or values[0] not in (1, 2, 3)):
            return False
        numbers += values[:1]
    return "C0001" in image and int(PurePosixPath(image).stem[-4:]) not in numbers


def dagm_free(data: bytes, image: str) -> bool:
    """A line that marks the image with 0, and none with 1."""
    lines = [line.split() for line in data.decode("utf-8", errors="replace").splitlines()]
    stem = PurePosixPath(image).stem
    marks = [words[1] for words in lines if len(words) > 2 and PurePosixPath(words[2]).stem == stem]
    return "0" in marks and "1" not in marks


def mask_free(data: bytes, image: str) -> bool:
    """A mask of the image's size, black throughout."""
    try:
        with Image.open(io.BytesIO(data)) as mask:
            return mask.size == (WIDTH, HEIGHT) and not np.asarray(mask).any()
    except (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, MemoryError):
        return False


def _laid_out(name: str, *files: str) -> Callable[[Path], Any]:
    """A published tree whose files have a line for every value, so that lines can be lost."""

    def build(root: Path) -> None:
        tool_trees.ALL_TREES[name][1](root)
        for file in files:
            text = (root / file).read_text()
            broken = (
                json.dumps(json.loads(text), indent=0)
                if file.endswith(".json")
                else text.replace("><", ">\n<")
            )
            write(root / file, broken)

    return build


def _dagm_without_a_mask(root: Path) -> None:
    """The table alone knows of the defect of 0003."""
    for number in (1, 2, 3):
        paint(root / f"Class1/Train/000{number}.PNG")
    draw(root / "Class1/Train/Label/0002_label.PNG", RECT)
    rows = "".join(
        f"{n}\t{int(n > 1)}\t000{n}.PNG\t0\t{f'000{n}_label.PNG' if n > 1 else 0}\n" for n in (1, 2, 3)
    )
    write(root / "Class1/Train/Label/Labels.txt", f"1\n{rows}")


ROBOFLOW = "train/_annotations.coco.json"
VAL, TRAIN_TABLE = "annotations/instances_val2017.json", "annotations/instances_train2017.json"
PLANES = "real/metadata_annotations/instances_train_aircraft.json"
FORMATS: dict[str, Format] = {
    "yolo boxes": Format(trees.yolo, "labels/train/1.txt", yolo_free, "yolo"),
    "yolo polygons": Format(
        trees.yolo, "labels/train/2.txt", lambda d, i: yolo_free(d, i.replace("2", "1")), "yolo"
    ),
    "yolo names": Format(trees.yolo, "data.yaml", never, "yolo"),
    "voc": Format(
        _laid_out("voc", "VOCdevkit/VOC2012/Annotations/1.xml"),
        "VOCdevkit/VOC2012/Annotations/1.xml",
        voc_free,
        "voc",
    ),
    "gc10_det": Format(_laid_out("gc10_det", "lable/img_01.xml"), "lable/img_01.xml", never, "gc10_det"),
    "cr7_det": Format(trees.cr7_det, "lengzha/label/dents1.txt", never, "cr7_det"),
    "fssd_12": Format(trees.fssd_12, "Steel_Am/GT/Steel_Am_1.png", never, "fssd_12"),
    "mvia_metal text": Format(trees.mvia_metal, "labels/Sc_1.txt", never, "mvia_metal"),
    "mvia_metal mask": Format(trees.mvia_metal, "mask/Sc_1.png", never, "mvia_metal"),
    "neu_det": Format(
        _laid_out("neu_det", "ANNOTATIONS/crazing_1.xml"), "ANNOTATIONS/crazing_1.xml", never, "neu_det"
    ),
    "coco polygons, runs": Format(_laid_out("coco", TRAIN_TABLE), TRAIN_TABLE, coco_free, "coco"),
    "coco boxes": Format(_laid_out("coco", VAL), VAL, coco_free, "coco"),
    "rareplanes": Format(_laid_out("rareplanes", PLANES), PLANES, coco_free, "rareplanes"),
    "severstal": Format(trees.severstal, "train.csv", severstal_free, "severstal"),
    "severstal, first form": Format(
        trees.severstal_first_form, "train.csv", severstal_first_free, "severstal"
    ),
    "gdxray": Format(trees.gdxray, "Castings/C0001/ground_truth.txt", gdxray_free, "gdxray"),
    "dagm table": Format(_dagm_without_a_mask, "Class1/Train/Label/Labels.txt", dagm_free, "dagm"),
    "dagm mask": Format(trees.dagm, "Class1/Train/Label/0002_label.PNG", never, "dagm"),
    "masks": Format(trees.masks, "tile/pit/1_mask.png", never, "masks"),
    "mask_folders": Format(trees.mask_folders, "train/masks/ring1.png", mask_free, "mask_folders"),
    "kolektor_sdd": Format(trees.kolektor_sdd, "kos01/Part1_label.bmp", mask_free, "kolektor_sdd"),
    "kolektor_sdd2": Format(trees.kolektor_sdd2, "train/10000_GT.png", mask_free, "kolektor_sdd2"),
    "magnetic_tile": Format(trees.magnetic_tile, "MT_Blowhole/Imgs/a.png", never, "magnetic_tile"),
    "mvtec": Format(trees.mvtec, "box/ground_truth/missing/000/000.png", never, "mvtec"),
    "visa": Format(trees.visa, "pcb1/Data/Masks/Anomaly/000.png", never, "visa"),
    "coco, of Roboflow": Format(
        _laid_out("coco, of Roboflow", ROBOFLOW),
        ROBOFLOW,
        lambda d, i: i.startswith("train/") and coco_free(d, i),
        "coco",
    ),
    "labelme": Format(tool_trees.labelme, "line/2.json", labelme_free, "labelme"),
    "labelme, elsewhere": Format(tool_trees.labelme, "json/seven.json", labelme_free, "labelme"),
    "cvat": Format(_laid_out("cvat", "task 1.xml"), "task 1.xml", cvat_free, "cvat"),
    "cvat_yolo": Format(tool_trees.cvat_yolo, "obj_train_data/sub/2.txt", never, "cvat_yolo"),
    "cvat_yolo names": Format(tool_trees.cvat_yolo, "obj.names", never, "cvat_yolo"),
    "label_studio": Format(
        _laid_out("label_studio", "project-1.json"), "project-1.json", label_studio_free, "label_studio"
    ),
    "label_studio, several": Format(
        _laid_out("label_studio", "project-2.json"), "project-2.json", label_studio_free, "label_studio"
    ),
    "via": Format(_laid_out("via", "via_project.json"), "via_project.json", never, "via"),
    "via, CSV": Format(_laid_out("via, CSV"), "via_region_data.csv", never, "via"),
    "via 3": Format(_laid_out("via 3", "steel.json"), "steel.json", never, "via"),
    "via 3, CSV": Format(_laid_out("via 3, CSV"), "steel.csv", never, "via"),
    "supervisely": Format(
        _laid_out("supervisely", "line/ann/2.jpg.json"), "line/ann/2.jpg.json", never, "supervisely"
    ),
    "datumaro": Format(
        _laid_out("datumaro", "annotations/train.json"), "annotations/train.json", datumaro_free, "datumaro"
    ),
}
