#!/usr/bin/env bash
# Grey TIFFs whose numbers begin with their highest byte ("MM"), as Mac and many detector tools write: float32, int32
# and int16, packed with zlib or not, written by tifffile 2026.3.3 (predictors and tiles make no difference).
# Guess: Pillow 13.0.0 gives the same numbers packed and not, or says that it can't read one of them.
# Seen:  it gives those of the files that are not packed, and of uint16 always. Of packed float32, int32 and int16 it
#        turns the bytes a second time, after libtiff has, and says nothing: 1.0 is 4.6e-41, 1 is 16777216 (int16: 256).
#        OpenCV reads all of them right.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  tifffile==2026.3.3 numpy==2.2.6 pillow==13.0.0 opencv-python-headless==4.12.0.88 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import cv2
import numpy as np
import tifffile
from PIL import Image

print(*(f"{name} {version(name)}" for name in ("tifffile", "pillow", "opencv-python-headless")))
wrong = {}
for kind in ("uint16", "int16", "int32", "float32"):
    values = np.ones((12, 16), kind)
    for packing in (None, "zlib"):
        tifffile.imwrite("a.tif", values, byteorder=">", compression=packing, photometric="minisblack")
        assert (tifffile.imread("a.tif") == values).all()
        assert (cv2.imread("a.tif", cv2.IMREAD_UNCHANGED) == values).all()
        read = np.asarray(Image.open("a.tif"))
        if not (read == values).all():
            wrong[kind, packing] = float(read[0, 0])
print("Pillow reads a 1 as:", wrong)
assert wrong.keys() == {("int16", "zlib"), ("int32", "zlib"), ("float32", "zlib")}, wrong
assert wrong["int16", "zlib"] == 256 and wrong["int32", "zlib"] == 1 << 24 and 0 < wrong["float32", "zlib"] < 1e-40
PY
