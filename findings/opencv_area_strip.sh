#!/usr/bin/env bash
# A line-scan strip of 64×2048 pixels with a scratch one column wide, resized by OpenCV's INTER_AREA to a square of
# 224×224, as networks take it: the long side shrinks nine times, the short one grows.
# Guess: the long side is averaged by areas, so that the scratch is a faint column, wherever it lies; it is when the same
# scratch is in a plate of 512×2048.
# Seen:  opencv-python-headless 4.12.0.88 averages nothing as soon as one side grows: it takes two pixels of nine along
#        the long side too, as INTER_LINEAR does, and of 64 scratches side by side 50 are gone without a trace. In two
#        steps (224 wide first, then 224 high) all are there, and in Pillow's BOX and BILINEAR of one step.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  numpy==2.2.6 pillow==12.0.0 opencv-python-headless==4.12.0.88 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import cv2
import numpy as np
from PIL import Image

SIDE = 224


def by_opencv(image, *sizes):
    for size in sizes:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image


def by_pillow(image, method):
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), method))


ways = {
    "OpenCV, strip": (64, lambda image: by_opencv(image, (SIDE, SIDE))),
    "OpenCV, plate": (512, lambda image: by_opencv(image, (SIDE, SIDE))),
    "OpenCV, strip in two steps": (64, lambda image: by_opencv(image, (SIDE, 64), (SIDE, SIDE))),
    "Pillow's BOX, strip": (64, lambda image: by_pillow(image, Image.Resampling.BOX)),
    "Pillow's BILINEAR, strip": (64, lambda image: by_pillow(image, Image.Resampling.BILINEAR)),
}
gone = {}
for name, (rows, resize) in ways.items():
    gone[name] = 0
    for column in range(1000, 1064):
        image = np.zeros((rows, 2048), np.uint8)
        image[:, column] = 255
        gone[name] += int(resize(image).max() == 0)
print(*(f"{name} {version(name)}" for name in ("opencv-python-headless", "pillow")))
print("scratches gone of 64:", gone)
assert gone == {name: 50 if name == "OpenCV, strip" else 0 for name in ways}, gone
PY
