#!/usr/bin/env bash
# Three labelled images, their defect a polygon, a mask and a box, that datumaro exports in its format `yolo`.
# Guess: a YOLO text line for each (the polygon's and the mask's bounding box), or an error that names the shapes.
# Seen:  datumaro 1.13.12 writes a line for the box alone; the texts of the other two are there and empty, which in YOLO
#        says that the image has no defect, and nothing is said. (`coco_instances` of the same data has all three.)
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datumaro import Dataset, DatasetItem
from datumaro.components.annotation import Bbox, Mask, Polygon
from datumaro.components.media import Image

square = np.zeros((80, 100), bool)
square[10:50, 10:50] = True
shapes = {
    "box": Bbox(10, 10, 40, 40, label=0),
    "mask": Mask(square, label=0),
    "polygon": Polygon([10, 10, 50, 10, 50, 50, 10, 50], label=0),
}
pixels = np.zeros((80, 100, 3), np.uint8)
items = [
    DatasetItem(name, subset="train", media=Image.from_numpy(data=pixels), annotations=[shape])
    for name, shape in shapes.items()
]
dataset = Dataset.from_iterable(items, categories=["dent"])
dataset.export("yolo", "yolo", save_media=True)
dataset.export("coco", "coco_instances")
lines = {path.stem: len(path.read_text().split("\n")) - 1 for path in Path("yolo/obj_train_data").glob("*.txt")}
objects = len(json.loads(Path("coco/annotations/instances_train.json").read_text())["annotations"])
print("datumaro", version("datumaro"), "lines of YOLO:", dict(sorted(lines.items())), "objects of COCO:", objects)
assert lines == {"box": 1, "mask": 0, "polygon": 0} and objects == 3, (lines, objects)
PY
