"""No pretext task: the anomaly maps alone teach."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from training.agbp.pretext.base import Pretext, PretextOutput
from training.models.backbones import Backbone


class DistillationAlone(Pretext):
    """A loss of 0, whose ratio to the distillation's says nothing: λ is then 1 (see `DistillationLoss`)."""

    def forward(
        self, backbone: Backbone, images: Tensor, batch: Mapping[str, Tensor], stages: Sequence[int]
    ) -> PretextOutput:
        """See `Pretext.forward`."""
        features = backbone(images)
        # Every parameter takes part, with a gradient of 0: DDP would wait for those of stages not distilled.
        return PretextOutput(0 * features[-1].float().mean(), [features[stage] for stage in stages])
