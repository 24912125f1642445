#!/usr/bin/env bash
# Pillow's bicubic resize takes the columns first in 12 and, by the image's shape, the rows first in 13: the same
# call gives pixels that are tens of grey values apart, as each pass is rounded and clipped to 0..255.
# Whoever keeps features or maps of resized images has others after an upgrade of Pillow alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 12.0.0 13.0.0; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet "pillow==$version" "numpy==2.3.5"
  "$folder/$version/bin/python" - "$folder/$version.npy" <<'PYTHON'
import sys

import numpy as np
import PIL
from PIL import Image

noise = np.where(np.random.default_rng(0).random((40, 31)) > 0.5, 255, 0).astype(np.uint8)
image = Image.fromarray(noise)
resized = np.asarray(image.resize((24, 24), Image.Resampling.BICUBIC))
columns_first = np.asarray(
    image.resize((24, 40), Image.Resampling.BICUBIC).resize((24, 24), Image.Resampling.BICUBIC)
)
rows_first = np.asarray(
    image.resize((31, 24), Image.Resampling.BICUBIC).resize((24, 24), Image.Resampling.BICUBIC)
)
print(
    f"Pillow {PIL.__version__}: 40 rows x 31 columns to 24 x 24 equals columns first: "
    f"{np.array_equal(resized, columns_first)}, rows first: {np.array_equal(resized, rows_first)}"
)
np.save(sys.argv[1], resized)
PYTHON
done
"$folder/13.0.0/bin/python" - "$folder/12.0.0.npy" "$folder/13.0.0.npy" <<'PYTHON'
import sys

import numpy as np

one, other = (np.load(path).astype(int) for path in sys.argv[1:])
apart = int(np.abs(one - other).max())
print(f"the two are up to {apart} grey values apart")
sys.exit(0 if apart > 5 else 1)
PYTHON
