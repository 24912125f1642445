"""What every pretext task offers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from training.models.backbones import Backbone


class PretextOutput(NamedTuple):
    """The task's loss, a scalar in float32, and the feature maps that anomaly maps are distilled into.

    `features` belong to the wanted stages, each (B, C, H, W) in the order of the batch's `images` and `maps`.
    """

    loss: Tensor
    features: list[Tensor]


class Pretext(nn.Module, ABC):
    """A pretext task with its heads; the backbone is not its own.

    Attributes:
        views: augmented views of each image that a batch holds, one after the other: all first views, then
            all second ones.
        mask_patch: side in pixels of the patches that a batch's `masks` hide; None needs no masks.
        mask_ratio: share of the patches that are hidden.
    """

    views: int = 1
    mask_patch: int | None = None
    mask_ratio: float = 0.0

    @abstractmethod
    def forward(
        self, backbone: Backbone, images: Tensor, batch: Mapping[str, Tensor], stages: Sequence[int]
    ) -> PretextOutput:
        """Loss and feature maps.

        Args:
            backbone: the backbone to train.
            images: (views · B, 3, S, S), normalised.
            batch: its other tensors: `categories` (B,), `masks` (B, S/patch, S/patch) bool where asked for.
            stages: numbers, from 0, of the stages whose feature maps are wanted; empty without distillation.
        """

    def stepped(self, backbone: Backbone, done: int, total: int) -> None:
        """Called after each optimizer step, `done` of `total`."""
