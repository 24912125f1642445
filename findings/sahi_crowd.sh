#!/usr/bin/env bash
# A COCO file with one object (`iscrowd` 0) and one crowd region (`iscrowd` 1), cut into tiles by SAHI's slice_coco.
# Guess: each part keeps the `iscrowd` of what it was cut from, so that an evaluation of the tiles ignores the crowd.
# Seen:  sahi 0.12.8 writes `iscrowd` 0 for all parts, and says nothing: regions to be ignored become objects that a
#        detector learns, and misses in an evaluation.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check sahi==0.12.8 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - 2>/dev/null <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image
from sahi.slicing import slice_coco

Image.fromarray(np.zeros((200, 400, 3), np.uint8)).save("s.jpg")


def entry(number, x, crowd):
    ring = [x, 10, x + 40, 10, x + 40, 50, x, 50]
    box = [x, 10, 40, 40]
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "bbox": box,
        "area": 1600,
        "iscrowd": crowd,
        "segmentation": [ring],
    }


document = {
    "images": [{"id": 1, "file_name": "s.jpg", "width": 400, "height": 200}],
    "categories": [{"id": 1, "name": "scratch"}],
    "annotations": [entry(1, 10, 0), entry(2, 300, 1)],
}
Path("s.json").write_text(json.dumps(document))
tiles, _ = slice_coco(
    "s.json", ".", "tiles", output_dir="out", slice_height=200, slice_width=200, overlap_height_ratio=0, overlap_width_ratio=0
)
seen = [(part["image_id"], part["bbox"], part["iscrowd"]) for part in tiles["annotations"]]
print("sahi", version("sahi"), "tile, box, iscrowd:", seen)
assert seen == [(1, [10.0, 10.0, 40.0, 40.0], 0), (2, [100.0, 10.0, 40.0, 40.0], 0)], seen
PY
