#!/usr/bin/env bash
# The slices that SAHI chooses by itself for a line-scan strip of 5000×200 px (no size given).
# Guess: about square, some 200 to 256 px high and wide, 25 or more of them, an overlap of a fifth.
# Seen:  sahi 0.12.8 takes 6 slices of 2500×200, each half of the strip, which overlap by four fifths: every pixel goes
#        through the detector up to five times, and the strip is as small in the detector's input as half of it is.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check sahi==0.12.8 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

from sahi.slicing import get_slice_bboxes

slices = get_slice_bboxes(image_height=200, image_width=5000)
print("sahi", version("sahi"), "slices of a strip of 5000x200:", slices)
assert slices == [[x, 0, x + 2500, 200] for x in range(0, 2501, 500)], slices
PY
