#!/usr/bin/env bash
# Label Studio's COCO export of two images with a box each, and a detector that finds both exactly, judged by
# pycocotools and faster-coco-eval.
# Guess: an average precision of 1 and a recall of 1.
# Seen:  label-studio-sdk 2.1.2 counts annotations from 0, and pycocotools 2.0.11 and faster-coco-eval 1.8.0 keep "matched
#        with annotation 0" and "matched with none" as the same 0: the first object of every such file is never found,
#        and its detection is a false one. The perfect detector has an AP of 0.2525 and a recall of 0.5; with ids from 1
#        both are 1. Nothing is said.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  label-studio-sdk==2.1.2 pycocotools==2.0.11 faster-coco-eval==1.8.0 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
import contextlib
import copy
import io
import json
from importlib.metadata import version
from pathlib import Path

import faster_coco_eval
import numpy as np
import pycocotools.coco
import pycocotools.cocoeval
from label_studio_sdk.converter import Converter
from PIL import Image

tasks = []
for number in (1, 2):
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(f"{number}.png")
    value = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0, "rotation": 0, "rectanglelabels": ["dent"]}
    region = {
        "id": "r1",
        "type": "rectanglelabels",
        "value": value,
        "original_width": 100,
        "original_height": 100,
        "image_rotation": 0,
        "from_name": "label",
        "to_name": "image",
        "origin": "manual",
    }
    annotation = {"id": number, "completed_by": 1, "was_cancelled": False, "result": [region]}
    data = {"image": str(Path(f"{number}.png").resolve())}
    tasks.append({"id": number, "data": data, "annotations": [annotation]})
Path("tasks.json").write_text(json.dumps(tasks))
shape = '<RectangleLabels name="label" toName="image"><Label value="dent"/></RectangleLabels>'
converter = Converter(f'<View><Image name="image" value="$image"/>{shape}</View>', None, download_resources=False)
Path("coco").mkdir()
converter.convert("tasks.json", "coco", "COCO", is_dir=False)
exported = json.loads(Path("coco/result.json").read_text())
print("label-studio-sdk", version("label-studio-sdk"), "ids", [row["id"] for row in exported["annotations"]])


def judged(truth: dict, table: type, evaluation: type) -> tuple[float, float]:
    """AP and recall at IoU 0.5 of detections that are the truth."""
    scores = {row["image_id"]: score for row, score in zip(truth["annotations"], (0.9, 0.8))}
    detections = [
        {"image_id": row["image_id"], "category_id": row["category_id"], "bbox": row["bbox"], "score": scores[row["image_id"]]}
        for row in truth["annotations"]
    ]
    Path("truth.json").write_text(json.dumps(truth))
    with contextlib.redirect_stdout(io.StringIO()):
        known = table("truth.json")
        judge = evaluation(known, known.loadRes(detections), "bbox")
        judge.evaluate()
        judge.accumulate()
    return float(judge.eval["precision"][0, :, 0, 0, -1].mean()), float(judge.eval["recall"][0, 0, 0, -1])


from_one = copy.deepcopy(exported)
for row in from_one["annotations"]:
    row["id"] += 1
judges = {
    "pycocotools": (pycocotools.coco.COCO, pycocotools.cocoeval.COCOeval),
    "faster-coco-eval": (faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster),
}
for name, classes in judges.items():
    as_exported, counted_from_one = judged(exported, *classes), judged(from_one, *classes)
    print(f"{name} {version(name)}: AP and recall {as_exported}, with ids from 1 {counted_from_one}")
    assert np.allclose(as_exported, (0.2525, 0.5), atol=1e-3), as_exported
    assert np.allclose(counted_from_one, (1, 1)), counted_from_one
assert [row["id"] for row in exported["annotations"]] == [0, 1], exported
PY
