"""Cls: cross-entropy over the object categories (docs/method.md#agbp, a)."""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from training.agbp.pretext.base import Pretext, PretextOutput
from training.models.backbones import Backbone


class Cls(Pretext):
    """Global average pool and a linear layer on the last stage.

    Backbones without batch norms (Swin, ConvNeXt) end in a norm that comes after their stages; a layer norm
    of the head's own stands in for it.

    With a single category there is nothing to tell apart: the loss and its gradient are 0, and distillation
    alone trains the backbone (λ is then 1, see `DistillationLoss`).

    Args:
        backbone: the backbone whose last stage is classified.
        categories: how many objects the corpus has.
    """

    def __init__(self, backbone: Backbone, categories: int) -> None:
        super().__init__()
        channels = backbone.stages[-1].channels
        batch_norms = any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
        self.norm = nn.Identity() if batch_norms else nn.LayerNorm(channels)
        self.linear = nn.Linear(channels, categories)

    def forward(
        self, backbone: Backbone, images: Tensor, batch: Mapping[str, Tensor], stages: Sequence[int]
    ) -> PretextOutput:
        """See `Pretext.forward`."""
        features = backbone(images)
        logits: Tensor = self.linear(self.norm(features[-1].mean(dim=(2, 3))))
        loss = F.cross_entropy(logits.float(), batch["categories"])
        return PretextOutput(loss, [features[stage] for stage in stages])
