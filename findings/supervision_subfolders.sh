#!/usr/bin/env bash
# A YOLO data set with images/a.jpg and images/line1/b.jpg, each with its text below labels, as ultralytics takes it.
# Guess: supervision's DetectionDataset.from_yolo gives two images, or says that it can't read folders in folders.
# Seen:  supervision 0.31.2 gives one image and says nothing: the one in the subfolder is lost in silence.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check supervision==0.31.2 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image
from supervision import DetectionDataset

for name in ("a", "line1/b"):
    image, text = Path(f"images/{name}.jpg"), Path(f"labels/{name}.txt")
    for path in (image, text):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(image)
    text.write_text("0 0.5 0.5 0.5 0.5\n")
Path("data.yaml").write_text("names: [cat]\n")
found = [Path(path).name for path, _, _ in DetectionDataset.from_yolo("images", "labels", "data.yaml")]
print("supervision", version("supervision"), "of a.jpg and line1/b.jpg gives", found)
assert found == ["a.jpg"], found
PY
