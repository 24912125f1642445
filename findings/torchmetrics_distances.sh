#!/usr/bin/env bash
# AUROC and average precision of anomaly scores that tell 500 normal images (20 to 40) and 500 defective ones (41 to 60)
# apart without an error: distances to a memory bank, which have no upper end.
# Guess: 1, as both look at the order alone; scikit-learn says so.
# Seen:  torchmetrics 1.9.0 takes scores outside of 0 to 1 for logits and sends them through a sigmoid in float32, which is 1
#        for all above 17: an AUROC of 0.5 and an average precision of 0.5 for a perfect detector, and with
#        `thresholds=200`, as large sets need it, an AUROC of 0. Scores of 2 to 6 in the same order have 1. Nothing is said.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 torchmetrics==1.9.0 numpy==2.2.6 scikit-learn==1.7.2 2>/dev/null
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

scores = torch.cat([torch.linspace(20, 40, 500), torch.linspace(41, 60, 500)])
defective = torch.arange(1000) >= 500
metrics = {
    "AUROC": (BinaryAUROC(), scores),
    "average precision": (BinaryAveragePrecision(), scores),
    "AUROC, thresholds=200": (BinaryAUROC(thresholds=200), scores),
    "AUROC of a tenth of the scores": (BinaryAUROC(), scores / 10),
}
print("torchmetrics", version("torchmetrics"), "torch", torch.__version__)
answers = {name: float(metric(given, defective.int())) for name, (metric, given) in metrics.items()}
answers["AUROC by scikit-learn"] = float(roc_auc_score(defective.numpy(), scores.numpy()))
for name, value in answers.items():
    print(f"  {name}: {value:g}")
assert list(answers.values()) == [0.5, 0.5, 0, 1, 1], answers
PY
