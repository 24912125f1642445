#!/usr/bin/env bash
# A TIFF whose orientation tag says that it was taken with the camera on its side (5 to 8), read by OpenCV 4.12 and 5.
# Guess: imread gives it upright, as it does a JPEG or PNG with the same tag, and as Pillow's exif_transpose does.
# Seen:  in opencv-python-headless 4.12.0.88 and 5.0.0.93 imread gives None for 5 to 8, in colour, grey and unchanged
#        (it fails on its own check 'original_ptr == real_mat.data' and says so on stderr), while imdecode of the same
#        bytes and imreadmulti of the same file give it upright, and 1 to 4 are read by all. Who skips what imread
#        can't read loses every image of a camera on its side.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
for version in 4.12.0.88 5.0.0.93; do
  python3 -m venv "$home/$version"
  "$home/$version/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.2.6 pillow==12.0.0 "opencv-python-headless==$version" 2>/dev/null
  "$home/$version/bin/python" - "$home" 2>/dev/null <<'PY'
import sys

import cv2
import numpy as np
from PIL import Image, ImageOps

folder = sys.argv[1]
pixels = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
unread = {name: [] for name in ("imread", "grey", "unchanged", "imdecode", "imreadmulti")}
for turn in range(1, 9):
    tags = Image.Exif()
    tags[274] = turn
    path = f"{folder}/{turn}.tiff"
    Image.fromarray(pixels).save(path, exif=tags)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))[..., ::-1]
    pages = cv2.imreadmulti(path)[1]
    found = {
        "imread": cv2.imread(path),
        "grey": cv2.imread(path, cv2.IMREAD_GRAYSCALE),
        "unchanged": cv2.imread(path, cv2.IMREAD_UNCHANGED),
        "imdecode": cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR),
        "imreadmulti": pages[0] if pages else None,
    }
    for name, image in found.items():
        if image is None:
            unread[name].append(turn)
        elif name in ("imread", "imdecode", "imreadmulti"):
            assert np.array_equal(image, upright), (turn, name)
print(f"opencv {cv2.__version__}: not read {unread}")
lost = [5, 6, 7, 8]
assert unread == {"imread": lost, "grey": lost, "unchanged": lost, "imdecode": [], "imreadmulti": []}, unread
PY
done
