#!/usr/bin/env bash
# The least turned rectangle around an upright box of 30×10 pixels and around one that is turned by 26.6°, by
# cv2.minAreaRect of OpenCV 4.12 and of OpenCV 5.
# Guess: the same centre, sides and angle: angles from above 0° to 90°, as since OpenCV 4.5.1.
# Seen:  opencv-python-headless 4.12.0.88 gives (10, 30, 90°) and (44.7, 11.2, 26.6°), 5.0.0.93 (10, 30, −90°) and
#        (11.2, 44.7, −63.4°): angles from −90° to below 0°, as before 4.5.1, with width and height changed places and
#        the corners of boxPoints in another order. Who writes labels of turned boxes, or finds a part's direction by
#        which side is longer, has others after an upgrade; nothing is said.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
for version in 4.12.0.88 5.0.0.93; do
  python3 -m venv "$home/$version"
  "$home/$version/bin/pip" install --quiet --disable-pip-version-check \
    numpy==2.2.6 "opencv-python-headless==$version" 2>/dev/null
  "$home/$version/bin/python" - "$home/$version.json" <<'PY'
import json
import sys

import cv2
import numpy as np

shapes = {
    "upright": [[10, 10], [40, 10], [40, 20], [10, 20]],
    "turned": [[20, 10], [60, 30], [55, 40], [15, 20]],
}
answers = {}
for name, points in shapes.items():
    (x, y), (width, height), angle = cv2.minAreaRect(np.array(points, np.int32))
    corners = cv2.boxPoints(((x, y), (width, height), angle))
    print(f"opencv {cv2.__version__} {name}: width {width:.1f}, height {height:.1f}, angle {angle:.1f}")
    answers[name] = [width, height, angle, *map(float, corners[0]), sorted(np.rint(corners).tolist())]
json.dump(answers, open(sys.argv[1], "w"))
PY
done
python3 - "$home/4.12.0.88.json" "$home/5.0.0.93.json" <<'PY'
import json
import sys

four, five = (json.load(open(path)) for path in sys.argv[1:])


def close(one: list[float], other: list[float]) -> bool:
    return all(abs(a - b) < 0.1 for a, b in zip(one, other, strict=True))


for name in four:
    assert four[name][5] == five[name][5], "another rectangle"  # the corners are the same four points
    assert not close(four[name][3:5], five[name][3:5]), "the same first corner"
assert close(four["upright"][:3], [10, 30, 90]) and close(five["upright"][:3], [10, 30, -90]), (four, five)
assert close(four["turned"][:3], [44.72, 11.18, 26.57]), four
assert close(five["turned"][:3], [11.18, 44.72, -63.43]), five
PY
