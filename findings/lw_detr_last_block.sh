#!/usr/bin/env bash
# LW-DETR of transformers, built from its default config and trained for a step; then its loss for a sure query.
# Guess: every block of the ViT gets a gradient, and the loss of classes is finite for finite logits.
# Seen:  transformers 5.23.0 reads the blocks that the paper counts from 0 (2, 4, 5, 9) as counted from 1, so the tenth
#        block is used by nothing and learns nothing; in its own loss log(1 − p) is infinite where p rounds to 1: from a logit
#        of 16.7 in float32, and of 6.3 in bfloat16, which a confident detector trained in mixed precision reaches. RF-DETR has
#        the same loss.
# Exits non-zero when that changes.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/env"
"$home/env/bin/pip" install --quiet --disable-pip-version-check transformers==5.23.0 torch==2.15.0 scipy pillow 2>/dev/null
cd "$home"
"$home/env/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from transformers import LwDetrConfig, LwDetrForObjectDetection
from transformers.loss.loss_lw_detr import LwDetrForObjectDetectionLoss

torch.manual_seed(0)
labels = [{"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.3, 0.3, 0.4, 0.4]])}]
network = LwDetrForObjectDetection(LwDetrConfig(num_queries=16, projector_scale_factors=[1.0])).train()
network(torch.rand(1, 3, 64, 64), labels=labels).loss.backward()
blocks = network.model.backbone.backbone.encoder.layer
idle = [number for number, block in enumerate(blocks, 1) if all(p.grad is None for p in block.parameters())]
config = LwDetrConfig(auxiliary_loss=False, num_queries=2, group_detr=1)


def finite(logit, dtype):
    logits, boxes = torch.full((1, 2, 1), logit, dtype=dtype), torch.full((1, 2, 4), 0.3, dtype=dtype)
    loss, *_ = LwDetrForObjectDetectionLoss(logits, labels, "cpu", boxes, config, None, None, logits, boxes)
    return bool(loss.isfinite())


seen = {str(dtype): [finite(logit, dtype) for logit in (5.0, 6.5, 17.0)] for dtype in (torch.float32, torch.bfloat16)}
print("transformers", version("transformers"), "idle blocks of", len(blocks), ":", idle, "finite at 5, 6.5, 17:", seen)
assert idle == [10], idle
assert seen == {"torch.float32": [True, True, False], "torch.bfloat16": [True, False, False]}, seen
PY
