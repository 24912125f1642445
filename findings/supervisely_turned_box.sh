#!/usr/bin/env bash
# Supervisely's SDK, supervisely 6.74.51: boxes and areas of shapes whose pixels it draws itself.
#
# Expected: the box of a rectangle of 7×5 pixels that is turned by 90° is around the 5×7 pixels that the SDK draws, and
# the area of a polygon is the number of pixels that it draws.
# Seen: `OrientedBBox.to_bbox` begins one pixel further left and above, 6×8 pixels (both ends are included in the
# SDK, and its corners are turned as if they were not); `Polygon.area` of 7×5 drawn pixels is 24, while
# `Rectangle.area` of the same corners is 35.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet supervisely==6.74.51
cat > "$home/try.py" <<'PY'
import math
from importlib.metadata import version

import numpy as np
import supervisely as sly

print("supervisely", version("supervisely"))


def drawn(shape):
    """First and last column and row of a shape's pixels, and their number."""
    canvas = np.zeros((16, 20), np.uint8)
    shape.draw(canvas, 1)
    rows, columns = np.nonzero(canvas)
    return (int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())), int(canvas.sum())


turned = sly.OrientedBBox(top=3, left=2, bottom=7, right=8, angle=math.pi / 2)
box = turned.to_bbox()
said = (box.left, box.top, box.right, box.bottom)
print("turned by 90°: drawn", drawn(turned), "to_bbox", said, f"{box.width}×{box.height}")
assert drawn(turned)[0] == (3, 2, 7, 8) and said == (2, 1, 7, 8), "changed"

rectangle = sly.Rectangle(top=3, left=2, bottom=7, right=8)
polygon = sly.Polygon([(3, 2), (3, 8), (7, 8), (7, 2)])
print("polygon: drawn", drawn(polygon), "area", polygon.area, "| rectangle: drawn", drawn(rectangle), "area", rectangle.area)
assert drawn(polygon) == drawn(rectangle) == ((2, 3, 8, 7), 35)
assert (polygon.area, rectangle.area) == (24.0, 35.0), "changed"
PY
"$home/venv/bin/python" "$home/try.py"
echo "As described."
