#!/usr/bin/env bash
# One Pascal VOC file, one box over the whole image (1, 1)-(64, 48), pixels counted from 1 as VOC does.
# Guess: every reader gives (0, 0, 64, 48).
# Seen:  supervision 0.31.2 gives (0, 0, 64, 48); datumaro 1.13.12 gives (1, 1, 64, 48): unless it is told
#        coordinate_mode="voc-one-based" it takes the corners as counted from 0, and loses the first row and column.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check supervision==0.31.2 datumaro==1.13.12 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datumaro import AnnotationType, Dataset
from PIL import Image
from supervision import DetectionDataset

home = Path("voc")
for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
    (home / folder).mkdir(parents=True)
Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(home / "JPEGImages/a.jpg")
(home / "ImageSets/Main/train.txt").write_text("a\n")
(home / "Annotations/a.xml").write_text(
    "<annotation><folder>JPEGImages</folder><filename>a.jpg</filename>"
    "<size><width>64</width><height>48</height><depth>3</depth></size>"
    "<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>64</xmax><ymax>48</ymax></bndbox></object>"
    "</annotation>"
)
((_, _, found),) = DetectionDataset.from_pascal_voc("voc/JPEGImages", "voc/Annotations")
theirs = found.xyxy.tolist()
(item,) = Dataset.import_from("voc", "voc")
other = [list(one.points) for one in item.annotations if one.type == AnnotationType.bbox]
print("supervision", version("supervision"), theirs)
print("datumaro", version("datumaro"), other)
assert theirs == [[0, 0, 64, 48]], theirs
assert other == [[1, 1, 64, 48]], other
PY
