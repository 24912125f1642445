#!/usr/bin/env bash
# supervision writes a single object whose mask has a hole, or two parts, as a COCO crowd. COCO's evaluation
# counts no object there: of two identical perfect detectors the one of rings has no AP at all.
# Its boxes, too, are one pixel narrower and lower than the masks they are made of.
# Exits non-zero if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check supervision==0.31.2 pycocotools==2.0.11 2>/dev/null
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import io
import json
import sys
from importlib.metadata import version

import numpy as np
import supervision as sv
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

folder = sys.argv[1]
print("supervision", version("supervision"), "pycocotools", version("pycocotools"))
solid = np.zeros((100, 120), bool)
solid[20:60, 30:70] = True
ring = solid.copy()
ring[30:50, 40:60] = False


def written(mask):
    """The annotation of one object with this mask, and AP of a detector that finds exactly its box."""
    image, table = f"{folder}/a.png", f"{folder}/a.json"
    Image.fromarray(np.zeros((*mask.shape, 3), np.uint8)).save(image)
    one = sv.Detections(xyxy=sv.mask_to_xyxy(mask[None]), mask=mask[None], class_id=np.array([0]))
    data = sv.DetectionDataset(classes=["dent"], images=[image], annotations={image: one})
    data.as_coco(images_directory_path=f"{folder}/images", annotations_path=table)
    with open(table) as file:
        (annotation,) = json.load(file)["annotations"]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(table)
        found = {"score": 0.9, **{key: annotation[key] for key in ("image_id", "category_id", "bbox")}}
        evaluation = COCOeval(truth, truth.loadRes([found]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return annotation, float(evaluation.stats[0])


seen = {}
for name, mask in (("solid", solid), ("ring", ring)):
    annotation, ap = written(mask)
    kind = type(annotation["segmentation"]).__name__
    seen[name] = annotation["iscrowd"], round(ap, 3), annotation["bbox"]
    print(f"{name}: iscrowd {annotation['iscrowd']}, segmentation a {kind}, "
          f"bbox {annotation['bbox']} of a mask 40 wide and high, AP {ap:.3f}")
expected = {"solid": (0, 1.0, [30, 20, 39, 39]), "ring": (1, -1.0, [30, 20, 39, 39])}
sys.exit(0 if seen == expected else f"this has changed: {seen}")
PYTHON
