#!/usr/bin/env bash
# RGB TIFFs whose three colours lie in planes of their own (PlanarConfiguration 2), written by tifffile 2026.3.3.
# Guess: OpenCV gives the pixels for 8 and for 16 bits, or None for what it can't read.
# Seen:  opencv-python-headless 4.12.0.88 gives the pixels of 8 bits. Of 16 bits and of float32 it reads the first plane
#        alone, as if its numbers were red, green, blue, red, green, blue, … of pixels, and gives an image of the right
#        size and type: red is spread over all colours, green and blue are gone. It says nothing.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 numpy==2.2.6 opencv-python-headless==4.12.0.88 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import cv2
import numpy as np
import tifffile

print(*(f"{name} {version(name)}" for name in ("tifffile", "opencv-python-headless")))
seen = {}
for kind in ("uint8", "uint16", "float32"):
    planes = np.zeros((3, 12, 16), kind)
    planes[0] = 100 + np.arange(16)  # red rises from left to right
    planes[1], planes[2] = 50, 20
    tifffile.imwrite("a.tif", planes, photometric="rgb", planarconfig="separate")
    assert (tifffile.imread("a.tif") == planes).all()
    read = cv2.imread("a.tif", cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert read.shape == (12, 16, 3) and read.dtype == kind, (read.shape, read.dtype)
    seen[kind] = read[0, :2].tolist()
print("first two pixels, written as [100, 50, 20] and [101, 50, 20]:", seen)
right, mixed = [[100, 50, 20], [101, 50, 20]], [[100, 101, 102], [103, 104, 105]]
assert seen == {"uint8": right, "uint16": mixed, "float32": mixed}, seen
PY
