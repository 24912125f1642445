"""What every segmenter offers, whatever library it comes from, and the registry of their names."""

from abc import abstractmethod
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from cluster.errors import UserError
from training.models import PartedModel, adding, builder_of, check_segmenter_name, segmenter_adapters
from training.models.detectors import Trunk

IGNORED = 255  # value in a semantic target of a pixel that no loss and no metric counts


class Segmenter(PartedModel):
    """Semantic segmentation; see `PartedModel`.

    `forward`'s targets: `semantic` (B, H, W) int64, 0 the background, 1 + index into `classes`, `IGNORED`.

    Attributes:
        side: side of its training crops, pixels; it takes any multiple of 32.
    """

    side: int

    @abstractmethod
    def scores(self, images: Tensor) -> Tensor:
        """How much each pixel is of each class, (B, 1 + classes, H, W) ≥ 0; called in eval mode.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1].
        """

    @property
    @abstractmethod
    def trunk(self) -> Trunk:
        """Its backbone."""

    def probabilities(self, images: Tensor) -> Tensor:
        """`scores` that sum to 1 over the classes; in eval mode, without gradients."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                scores = self.scores(images)
        finally:
            self.train(was_training)
        return scores / scores.sum(dim=1, keepdim=True).clamp(min=torch.finfo(scores.dtype).tiny)

    def backbone_layers(self) -> list[list[nn.Parameter]]:
        """See `PartedModel.backbone_layers`."""
        return self.trunk.backbone.layers()


Builder = Callable[[str, tuple[str, ...], int], Segmenter]
BuilderT = TypeVar("BuilderT", bound=Builder)
_ON_BACKBONE: dict[str, Builder] = {}


def register_on_backbone(*names: str) -> Callable[[BuilderT], BuilderT]:
    """Decorator: the builder makes segmenters called `NAME+BACKBONE` on any backbone."""
    return adding(_ON_BACKBONE, segmenter_adapters, names, "segmenters")


def build_segmenter(name: str, classes: tuple[str, ...], side: int) -> Segmenter:
    """A segmenter with random weights, drawn from torch's global state.

    Args:
        name: e.g. `mask2former+resnet50`.
        classes: names in label order, without the background; at least one, all different.
        side: side of its training crops, pixels, a multiple of 32.

    Raises:
        UserError: see `check_segmenter_name`; no class, a class twice, or more than 254.
    """
    check_segmenter_name(name)
    if not classes or len(set(classes)) != len(classes) or len(classes) >= IGNORED:
        raise UserError(
            f"Segmenter {name} needs 1 to {IGNORED - 1} classes, all different, not {list(classes)[:5]}."
        )
    family = name.partition("+")[0]
    builder: Builder = builder_of(_ON_BACKBONE, family, segmenter_adapters[family])
    return builder(name, classes, side)
