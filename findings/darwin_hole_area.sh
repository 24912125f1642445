#!/usr/bin/env bash
# An image annotated in V7 (its JSON 2.0): one polygon of two paths, a square of 40 px with a hole of 20 px, which
# darwin-py's own exporter turns into COCO.
# Guess: run lengths or rings, `area` about 1200, `iscrowd` 0, as it is one object.
# Seen:  darwin-py 3.6.3 writes the right run lengths (1320 pixels) with `"area": 0` and `"iscrowd": 1`. Who drops boxes
#        of no area, or crowds, as trainings commonly do, loses every object with a hole. A polygon of one path has
#        its area and `iscrowd` 0.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check darwin-py==3.6.3 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

from darwin.exporter.formats import coco
from darwin.utils import parse_darwin_json


def square(low, high):
    return [{"x": x, "y": y} for x, y in ((low, low), (high, low), (high, high), (low, high))]


def polygon(number, *paths):
    return {"id": str(number), "name": "dent", "polygon": {"paths": list(paths)}, "slot_names": ["0"]}


slot = {"type": "image", "slot_name": "0", "width": 100, "height": 80, "source_files": [{"file_name": "a.jpg", "url": ""}]}
document = {
    "version": "2.0",
    "item": {"name": "a.jpg", "path": "/", "slots": [slot]},
    "annotations": [polygon(1, square(10, 50), square(20, 40)), polygon(2, square(55, 75))],
}
Path("a.json").write_text(json.dumps(document))
Path("out").mkdir()
coco.export([parse_darwin_json(Path("a.json"), 0)], Path("out"))
holed, plain = json.loads(next(Path("out").glob("*.json")).read_text())["annotations"]
pixels = sum(holed["segmentation"]["counts"][1::2])
seen = [(entry["area"], entry["iscrowd"], entry["bbox"]) for entry in (holed, plain)]
print("darwin-py", version("darwin-py"), "area, iscrowd, bbox:", seen, "pixels of the first:", pixels)
assert seen == [(0, 1, [10, 10, 41, 41]), (400.0, 0, [55, 55, 20, 20])], seen
assert pixels == 1320, pixels
PY
