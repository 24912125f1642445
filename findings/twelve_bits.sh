#!/usr/bin/env bash
# One picture of a 12-bit camera, grey values 0 to 4095, as JPEG 2000 without losses and as TIFF with packed samples.
# Guess: a reader gives 0 to 4095 for both, or fills both up to 16 bits.
# Seen:  Pillow 13.0.0 gives the TIFF as it is and the JPEG 2000 times 16; opencv-python-headless 4.12.0.88 gives the
#        JPEG 2000 as it is and the TIFF times 16. A threshold, a flat field or a fixed scale that fits files of one
#        kind is off by 16 for the other, and between the two libraries both ways round. Nothing is said.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  numpy==2.2.6 pillow==13.0.0 opencv-python-headless==4.12.0.88 imagecodecs==2026.3.6 2>/dev/null
"$home/env/bin/python" -W ignore - <<'PY'
import io
import struct
from importlib.metadata import version

import cv2
import imagecodecs
import numpy as np
from PIL import Image

SIDE = 64
values = np.linspace(0, 4095, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
first, second = values.ravel()[::2].astype(np.uint32), values.ravel()[1::2].astype(np.uint32)
packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8).tobytes()
# Width, height, bits, no compression, black is zero, where the strip lies, samples, rows of a strip, its bytes.
fields = {256: SIDE, 257: SIDE, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: SIDE, 279: len(packed)}
directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
head = b"II*\0" + struct.pack("<I", 8 + len(packed))
files = {
    "JPEG 2000": imagecodecs.jpeg2k_encode(values, level=0, bitspersample=12, reversible=True, codecformat="jp2"),
    "TIFF": head + packed + struct.pack("<H", len(fields)) + directory + bytes(4),
}
assert np.array_equal(imagecodecs.jpeg2k_decode(files["JPEG 2000"]), values)  # without losses indeed
factors = {}
for name, data in files.items():
    by_pillow = np.asarray(Image.open(io.BytesIO(data)))
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    for reader, read in (("pillow", by_pillow), ("opencv-python-headless", by_opencv)):
        factor = int(read.max()) // 4095
        assert read.dtype == np.uint16 and np.array_equal(read, values * factor), (name, reader)
        print(f"{reader} {version(reader)} {name}: {read.min()} to {read.max()}")
        factors[name, reader] = factor
assert factors == {
    ("JPEG 2000", "pillow"): 16,
    ("JPEG 2000", "opencv-python-headless"): 1,
    ("TIFF", "pillow"): 1,
    ("TIFF", "opencv-python-headless"): 16,
}, factors
PY
