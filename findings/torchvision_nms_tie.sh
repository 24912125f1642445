#!/usr/bin/env bash
# torchvision.ops.nms documents that boxes with an IoU *above* the limit go. Of two boxes whose IoU is exactly the
# limit it drops one or keeps both, by the limit: 4/5 as float32 lies above the double 0.8, 7/10 below the double
# 0.7. In float64 every tie keeps both, as documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.15.0 torchvision==0.29.2 numpy
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
import torchvision
from torchvision.ops import nms

print("torch", torch.__version__, "torchvision", torchvision.__version__, "on the CPU")


def kept(tenths: int, kind: torch.dtype) -> int:
    boxes = torch.tensor([[0, 0, 10, 1], [0, 0, tenths, 1]], dtype=kind)
    return len(nms(boxes, torch.tensor([0.9, 0.8], dtype=kind), tenths / 10))


single = {tenths / 10: kept(tenths, torch.float32) for tenths in range(1, 10)}
double = {tenths / 10: kept(tenths, torch.float64) for tenths in range(1, 10)}
print("boxes kept of two whose IoU is exactly the limit, float32:", single)
print("the same, float64:", double)

expected = {0.1: 1, 0.2: 1, 0.3: 1, 0.4: 1, 0.5: 2, 0.6: 1, 0.7: 2, 0.8: 1, 0.9: 2}
same = single == expected and set(double.values()) == {2}
print("as found" if same else "CHANGED")
sys.exit(0 if same else 1)
PY
