#!/usr/bin/env bash
# "CVAT for images 1.1" with an image of two grouped polygons, a scratch and a dent, and one of a grouped box and polygon
# of one scratch in two pieces, which datumaro exports as COCO.
# Guess: four objects, as a COCO file has no groups; or those of a group and a class as one, with the box around both.
# Seen:  datumaro 1.13.12 makes one object of a group, whatever its classes: the dent is gone, and its pixels are scratch.
#        Where one piece is a box, that is the object's box, and the mask lies beside it: (5, 10, 25, 20) for a mask of
#        the columns 60 to 80. Nothing is said. In its YOLO export the two are two, where they are boxes.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from datumaro import Dataset
from PIL import Image


def polygon(label: str, x: int) -> str:
    points = f"{x},10;{x + 20},10;{x + 20},20;{x},20"
    return f'<polygon label="{label}" source="manual" occluded="0" points="{points}" z_order="0" group_id="1"/>'


def box(label: str, x: int) -> str:
    sides = f'xtl="{x}" ytl="10" xbr="{x + 20}" ybr="20"'
    return f'<box label="{label}" source="manual" occluded="0" {sides} z_order="0" group_id="1"/>'


shapes = {
    "two_classes.png": polygon("scratch", 5) + polygon("dent", 60).replace("80", "78"),  # the dent is smaller
    "two_pieces.png": box("scratch", 5) + polygon("scratch", 60),
    "two_boxes.png": box("scratch", 5) + box("dent", 60),
}
Path("cvat/images").mkdir(parents=True)
images = ""
for number, (name, inner) in enumerate(shapes.items()):
    Image.fromarray(np.zeros((60, 100, 3), np.uint8)).save(f"cvat/images/{name}")
    images += f'<image id="{number}" name="{name}" width="100" height="60">{inner}</image>'
labels = "".join(f"<label><name>{name}</name></label>" for name in ("scratch", "dent"))
meta = f"<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
Path("cvat/annotations.xml").write_text(f'<?xml version="1.0"?><annotations>{meta}{images}</annotations>')

Dataset.import_from("cvat", "cvat").export("coco", "coco_instances", save_media=False)
(file,) = Path("coco").rglob("*.json")
document = json.loads(file.read_text())
names = {row["id"]: row["name"] for row in document["categories"]}
images_of = {row["id"]: row["file_name"] for row in document["images"]}
objects: dict[str, list[tuple[str, list[float], int]]] = {}
for row in document["annotations"]:
    outlines = [min(outline[::2]) for outline in row["segmentation"]]
    objects.setdefault(images_of[row["image_id"]], []).append((names[row["category_id"]], row["bbox"], outlines))
Dataset.import_from("cvat", "cvat").export("yolo", "yolo", save_media=False)
(text,) = Path("yolo").rglob("two_boxes.txt")
lines = text.read_text().split("\n")
print("datumaro", version("datumaro"), "class, x y w h, least x of each outline:")
for name, found in sorted(objects.items()):
    print(" ", name, found)
print("  two_boxes.txt", lines)
assert objects["two_classes.png"] == [("scratch", [5, 10, 73, 10], [5, 60])], objects
assert objects["two_pieces.png"] == [("scratch", [5, 10, 20, 10], [60])], objects
assert objects["two_boxes.png"] == [("scratch", [5, 10, 75, 10], [])], objects
assert len([line for line in lines if line]) == 2, lines
PY
