#!/usr/bin/env bash
# A data set of three images with a box each, two in the subset `train`, one in none, that datumaro exports as YOLO.
# Guess: a list for each subset (default.txt beside train.txt), or one train.txt with all three.
# Seen:  datumaro 1.13.12 files both under the name train.txt, and the second list overwrites the first: all images and
#        texts are there, train.txt names those of one subset, and nothing is said. Which one varies from run to run.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datumaro import Dataset, DatasetItem
from datumaro.components.annotation import Bbox
from datumaro.components.media import Image


def item(name, subset):
    pixels = Image.from_numpy(data=np.zeros((80, 100, 3), np.uint8))
    return DatasetItem(name, subset=subset, media=pixels, annotations=[Bbox(10, 10, 40, 40, label=0)])


items = [item("a", "train"), item("b", "train"), item("c", "default")]
Dataset.from_iterable(items, categories=["dent"]).export("out", "yolo", save_media=True)
listed = sorted(Path(line).name for line in Path("out/train.txt").read_text().split())
texts = sorted(path.name for path in Path("out/obj_train_data").glob("*.txt"))
lists = sorted(path.name for path in Path("out").glob("*.txt"))
print("datumaro", version("datumaro"), "lists:", lists, "train.txt names", listed, "of the texts", texts)
assert (lists, texts) == (["train.txt"], ["a.txt", "b.txt", "c.txt"])
assert listed in (["a.jpg", "b.jpg"], ["c.jpg"]), listed
PY
