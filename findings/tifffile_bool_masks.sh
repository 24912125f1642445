#!/usr/bin/env bash
# A mask saved as a bool array by tifffile 2025.10.16, read by Pillow 12.0.0 and opencv-python-headless 4.12.0.88.
#
# Expected: the pixels that are True come back as True, or white, as they do for a uint8 array of 0 and 255.
# Seen: tifffile marks one-bit arrays as white-is-zero, so both readers give the complement: a mask of one defect is
# read as "all but the defect", an empty mask as a white one. No reader says a word.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet tifffile==2025.10.16 pillow==12.0.0 opencv-python-headless==4.12.0.88
cd "$home"
cat > try.py <<'PY'
from importlib.metadata import version

import cv2
import numpy as np
import tifffile
from PIL import Image

mask = np.zeros((12, 16), bool)
mask[3:6, 4:9] = True
tifffile.imwrite("mask.tiff", mask)
print(*(f"{name} {version(name)}" for name in ("tifffile", "pillow", "opencv-python-headless")))
with tifffile.TiffFile("mask.tiff") as file:
    print("photometric:", file.pages[0].photometric.name)
by_pillow = np.asarray(Image.open("mask.tiff"))
by_opencv = cv2.imread("mask.tiff", cv2.IMREAD_GRAYSCALE) > 127
print("True of", mask.size, "written:", mask.sum(), "Pillow:", by_pillow.sum(), "OpenCV:", by_opencv.sum())
assert (tifffile.imread("mask.tiff") == mask).all()
assert (by_pillow == ~mask).all() and (by_opencv == ~mask).all()
tifffile.imwrite("grey.tiff", mask.astype(np.uint8) * 255)
assert ((np.asarray(Image.open("grey.tiff")) > 127) == mask).all()
PY
"$home/venv/bin/python" try.py
echo "As described."
