#!/usr/bin/env bash
# Weighted boxes fusion of an image and its mirror image: both views find a defect with 0.9, and both keep beside it a
# leftover of 0.1 that overlaps it by 0.6, as suppression at the usual limit of 0.7 does.
# Guess: both views agree, so the fused box has 0.9, as it has without leftovers.
# Seen:  ensemble-boxes 1.0.9 gives 0.5, the mean of all four boxes: a view may have several in one cluster, and each
#        counts as a view that found it. So a defect that one view alone finds, with its leftover, has the same 0.5.
#        `conf_type="max"` keeps 0.9. Who fuses views suppresses at the fusion's own limit (0.55) before.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check ensemble-boxes==1.0.9 numpy==2.4.6 2>/dev/null
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

from ensemble_boxes import weighted_boxes_fusion

defect, leftover = [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.34]  # IoU 0.6


def score(views, **options):
    boxes = [[box for box, _ in view] for view in views]
    scores = [[score for _, score in view] for view in views]
    labels = [[0] * len(view) for view in views]
    return round(float(weighted_boxes_fusion(boxes, scores, labels, iou_thr=0.55, **options)[1][0]), 4)


clean, usual = [(defect, 0.9)], [(defect, 0.9), (leftover, 0.1)]
figures = {
    "both views, no leftovers": score([clean, clean]),
    "both views, a leftover each": score([usual, usual]),
    "the same, conf_type max": score([usual, usual], conf_type="max"),
    "one of two views": score([clean, []]),
    "one of two views, with a leftover": score([usual, []]),
}
print("ensemble-boxes", version("ensemble-boxes"), figures)
assert list(figures.values()) == [0.9, 0.5, 0.9, 0.45, 0.5], figures
PY
