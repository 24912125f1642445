"""Backbone and pretext task as one module, which DDP wraps."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from training.agbp.pretext import Pretext, PretextOutput
from training.models.backbones import Backbone


class PretrainModel(nn.Module):
    """Backbone and pretext task, from uint8 pixels.

    Args:
        backbone: trained in place.
        pretext: the task with its heads.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, pretext: Pretext) -> None:
        super().__init__()
        self.backbone, self.pretext = backbone, pretext
        self.register_buffer("mean", torch.tensor(backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(3, 1, 1), persistent=False)

    def forward(self, batch: Mapping[str, Tensor], stages: Sequence[int]) -> PretextOutput:
        """Loss of the pretext task and feature maps of `stages`, of a batch of `pretrain_data.collate`."""
        images = self.normalised(batch["images"])
        output: PretextOutput = self.pretext(self.backbone, images, batch, stages)
        return output

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps of all stages, of (B, 3, S, S) uint8 RGB."""
        features: list[Tensor] = self.backbone(self.normalised(images))
        return features

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 RGB as the backbone wants it, float32."""
        return (images.float() / 255 - self.mean) / self.std
