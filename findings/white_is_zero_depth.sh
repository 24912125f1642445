#!/usr/bin/env bash
# A negative (an X-ray film) as TIFF, white is zero (PhotometricInterpretation 0): a bright half and a dark one, of 8 bits
# and of 16, written by tifffile 2026.3.3.
# Guess: a reader turns both into positives, or neither.
# Seen:  Pillow 12.0.0 and opencv-python-headless 4.12.0.88 turn the one of 8 bits and leave that of 16: the bright half
#        is bright in the first and dark in the second, and nothing is said. tifffile leaves both as they are. Who keeps
#        8-bit previews beside 16-bit originals trains on one polarity and predicts on the other.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 numpy==2.2.6 pillow==12.0.0 opencv-python-headless==4.12.0.88 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import cv2
import numpy as np
import tifffile
from PIL import Image

print(*(f"{name} {version(name)}" for name in ("tifffile", "pillow", "opencv-python-headless")))
seen = {}
for kind in ("uint8", "uint16"):
    stored = np.zeros((12, 16), kind)
    stored[:, 8:] = np.iinfo(kind).max // 5 * 4  # the left half, of 0, is white
    tifffile.imwrite("a.tif", stored, photometric="miniswhite")
    reads = {
        "tifffile": tifffile.imread("a.tif"),
        "Pillow": np.asarray(Image.open("a.tif")),
        "OpenCV": cv2.imread("a.tif", cv2.IMREAD_UNCHANGED),
    }
    seen[kind] = {name: "left" if read[0, 0] > read[0, 15] else "right" for name, read in reads.items()}
    print(kind, "the bright half, which is the left one:", seen[kind])
assert seen["uint8"] == {"tifffile": "right", "Pillow": "left", "OpenCV": "left"}, seen
assert set(seen["uint16"].values()) == {"right"}, seen
PY
