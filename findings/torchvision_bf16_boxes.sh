#!/usr/bin/env bash
# Guess: under autocast torchvision's Faster R-CNN computes features in bf16 and keeps boxes, which are pixels, in
# float32, as its anchors are. In fact the box coder casts the anchors to the type of the network's answers before
# it adds them up, so that a proposal has eight significant bits: on a strip of 2,048 px every proposal beyond pixel
# 1,024 begins at a multiple of 8, in training too, whose truths the heads then learn from there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.15.0 torchvision==0.29.2 numpy
"$folder/venv/bin/python" - <<'PY'
import sys

import torch
import torchvision
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn
from torchvision.models.detection._utils import BoxCoder

print("torch", torch.__version__, "torchvision", torchvision.__version__, "on the CPU")

box = torch.tensor([[1811.0, 9.0, 1843.0, 47.0]])
unmoved = BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(torch.zeros(1, 4, dtype=torch.bfloat16), box)
print("a box moved by nothing:", box[0].tolist(), "->", unmoved[0].tolist(), unmoved.dtype)

torch.manual_seed(0)
model = fasterrcnn_mobilenet_v3_large_320_fpn(
    weights=None, weights_backbone=None, num_classes=3, min_size=128, max_size=2048
).eval()
strip = torch.rand(3, 128, 2048)


def beyond_1024(bf16: bool) -> torch.Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        images, _ = model.transform([strip])
        proposals, _ = model.rpn(images, model.backbone(images.tensors))
    left = proposals[0][:, 0]
    return left[left > 1024].float()


single, half = beyond_1024(False), beyond_1024(True)
shares = [(left % 8 == 0).float().mean().item() for left in (single, half)]
print(f"proposals beyond pixel 1,024 that begin at a multiple of 8: float32 {shares[0]:.2f}, bf16 {shares[1]:.2f}")

same = unmoved.dtype == torch.bfloat16 and unmoved[0, 0] == 1808 and shares[0] < 0.5 and shares[1] == 1 and len(half) > 9
print("as found" if same else "CHANGED")
sys.exit(0 if same else 1)
PY
