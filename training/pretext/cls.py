"""Cls: cross-entropy over the object categories (METHOD.md, AGBP, L_task a)."""

import torch.nn.functional as F
from torch import Tensor, nn


class ClsHead(nn.Module):
    """Global average pool and a linear layer.

    With a single category there is nothing to tell apart: the loss and its gradient are 0, and distillation
    alone trains the backbone (λ is then 1, see `DistillationLoss`).

    Args:
        channels: of the backbone's last stage.
        categories: how many objects the corpus has.
    """

    def __init__(self, channels: int, categories: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, categories)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, categories) of the last stage's (B, channels, H, W)."""
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


def cls_loss(logits: Tensor, categories: Tensor) -> Tensor:
    """Mean cross-entropy of (B, K) logits and (B,) int64 indices, in float32."""
    return F.cross_entropy(logits.float(), categories)
