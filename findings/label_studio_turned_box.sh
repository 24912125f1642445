#!/usr/bin/env bash
# One rectangle of 40×20 pixels that is turned by 30° about its corner (80, 30), in an image of 200×100 pixels, in Label
# Studio's JSON, given to its own converter.
# Guess: COCO, YOLO and VOC all have the box around its corners, (70, 30) to (114.64, 67.32).
# Seen:  label-studio-sdk 2.1.2 writes three boxes. YOLO and VOC have the rectangle as if it were not turned, (80, 30) to
#        (120, 50). COCO turns it in percent, which are longer across than down in an image that is no square:
#        (60, 30) to (114.64, 57.32). The OBB form alone has the right corners. Nothing is said.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
import json
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from label_studio_sdk.converter import Converter
from PIL import Image

WIDTH, HEIGHT = 200, 100
Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save("a.png")
value = {"x": 40.0, "y": 30.0, "width": 20.0, "height": 20.0, "rotation": 30, "rectanglelabels": ["dent"]}
region = {
    "id": "r1",
    "type": "rectanglelabels",
    "value": value,
    "original_width": WIDTH,
    "original_height": HEIGHT,
    "image_rotation": 0,
    "from_name": "label",
    "to_name": "image",
    "origin": "manual",
}
annotation = {"id": 5, "completed_by": 1, "was_cancelled": False, "result": [region]}
task = {"id": 1, "data": {"image": str(Path("a.png").resolve())}, "annotations": [annotation]}
Path("tasks.json").write_text(json.dumps([task]))
shape = '<RectangleLabels name="label" toName="image"><Label value="dent"/></RectangleLabels>'
converter = Converter(f'<View><Image name="image" value="$image"/>{shape}</View>', None, download_resources=False)
for name in ("COCO", "YOLO", "VOC", "YOLO_OBB"):
    Path(name).mkdir()
    converter.convert("tasks.json", name, name, is_dir=False)

(row,) = json.loads(Path("COCO/result.json").read_text())["annotations"]
x, y, w, h = row["bbox"]
boxes = {"COCO": (x, y, x + w, y + h)}
_, x, y, w, h = (float(word) for word in Path("YOLO/labels/a.txt").read_text().split())
boxes["YOLO"] = ((x - w / 2) * WIDTH, (y - h / 2) * HEIGHT, (x + w / 2) * WIDTH, (y + h / 2) * HEIGHT)
(file,) = Path("VOC").rglob("*.xml")
found = ElementTree.parse(file).find("object/bndbox")
boxes["VOC"] = tuple(float(found.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax"))
shares = [float(word) for word in Path("YOLO_OBB/labels/a.txt").read_text().split()[1:]]
across, down = [share * WIDTH for share in shares[::2]], [share * HEIGHT for share in shares[1::2]]
boxes["YOLO_OBB"] = (min(across), min(down), max(across), max(down))
print("label-studio-sdk", version("label-studio-sdk"), "a rectangle turned by 30°, as x0 y0 x1 y1:")
for name, box in boxes.items():
    print(f"  {name:9}", *(f"{side:.2f}" for side in box))
turned, straight = (70, 30, 114.641, 67.321), (80, 30, 120, 50)
assert np.allclose(boxes["YOLO_OBB"], turned, atol=0.01), boxes
assert np.allclose(boxes["YOLO"], straight, atol=0.01), boxes
assert np.allclose(boxes["VOC"], straight, atol=1.01), boxes
assert np.allclose(boxes["COCO"], (60, 30, 114.641, 57.321), atol=0.01), boxes
PY
