#!/usr/bin/env bash
# Label Studio's converter, label-studio-sdk 2.1.2 with opencv-python-headless 4.12.0.88, format "COCO of brushes".
#
# Expected: a brush stroke of 30 pixels in a row becomes an annotation, and a ring keeps its hole.
# Seen: the stroke one pixel thin is gone, with its image and without a word (its contour has two points, and fewer
# than three are dropped); the ring of 256 pixels is written as the filled square of 400. The same brushes as run
# lengths in Label Studio's own JSON are complete.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet label-studio-sdk==2.1.2 opencv-python-headless==4.12.0.88
cd "$home"
cat > try.py <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from label_studio_sdk.converter import Converter, brush
from PIL import Image

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="scratch"/></BrushLabels></View>"""


def exported(mask):
    """The COCO file of one image with one brush."""
    value = {"format": "rle", "rle": brush.mask2rle(mask), "brushlabels": ["scratch"]}
    result = {"id": "r", "type": "brushlabels", "from_name": "brush", "to_name": "image", "value": value}
    result |= {"original_width": 40, "original_height": 40}
    kept = brush.decode_rle(value["rle"]).reshape(40, 40, 4)[..., 3] > 0
    assert (kept == (mask > 0)).all(), "Label Studio's own run lengths are complete"
    annotation = {"id": 1, "completed_by": 1, "was_cancelled": False, "result": [result]}
    Path("tasks.json").write_text(json.dumps([{"id": 1, "data": {"image": "images/a.png"}, "annotations": [annotation]}]))
    converter = Converter(config=CONFIG, project_dir=".", upload_dir=".", download_resources=False)
    converter.convert("tasks.json", "out", "BRUSH_TO_COCO", is_dir=False)
    (file,) = Path("out").rglob("*.json")
    return json.loads(file.read_text())


Path("images").mkdir()
Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("images/a.png")
line, ring = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
line[20, 5:35] = 255
ring[10:30, 10:30] = 255
ring[14:26, 14:26] = 0
print("label-studio-sdk", version("label-studio-sdk"), "opencv", version("opencv-python-headless"))
document = exported(line)
print("a stroke of 30×1 pixels:", len(document["images"]), "images,", len(document["annotations"]), "annotations")
assert (document["images"], document["annotations"]) == ([], [])
document = exported(ring)
(note,) = document["annotations"]
print("a ring of", int((ring > 0).sum()), "pixels:", note["segmentation"], "box", note["bbox"])
assert note["segmentation"] == [[10, 10, 10, 29, 29, 29, 29, 10]] and note["bbox"] == [10, 10, 20, 20]
PY
"$home/venv/bin/python" try.py
echo "As described."
