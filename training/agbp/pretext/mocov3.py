"""MoCo v3: two views of an image attract, those of other images repel (docs/method.md#agbp, b).

Chen, Xie, He: An Empirical Study of Training Self-Supervised Vision Transformers, ICCV 2021, section 3 and
algorithm 1; heads and schedule as in the authors' code for ResNet-50.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from lightly.models.modules.heads import MoCoProjectionHead, ProjectionHead
from lightly.models.utils import concat_all_gather, update_momentum
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

from cluster.errors import UserError
from training.agbp import MocoSection
from training.agbp.pretext.base import Pretext, PretextOutput
from training.models.backbones import Backbone


class MoCoV3(Pretext):
    """Projector and predictor on the pooled last stage, and a momentum encoder (backbone and projector).

    Distillation uses both views, each with its own map.

    Args:
        backbone: copied for the momentum encoder, frozen stages and all.
        section: see `MocoSection`.
    """

    views = 2

    def __init__(self, backbone: Backbone, section: MocoSection) -> None:
        super().__init__()
        self.section = section
        channels, hidden, embedding = backbone.stages[-1].channels, section.hidden, section.embedding
        self.projector = MoCoProjectionHead(channels, hidden, embedding, num_layers=2, batch_norm=True)
        self.predictor = ProjectionHead(
            [(embedding, hidden, nn.BatchNorm1d(hidden), nn.ReLU()), (hidden, embedding, None, None, False)]
        )
        self.momentum_backbone = copy.deepcopy(backbone).requires_grad_(False)
        self.momentum_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def forward(
        self, backbone: Backbone, images: Tensor, batch: Mapping[str, Tensor], stages: Sequence[int]
    ) -> PretextOutput:
        """See `Pretext.forward`.

        Raises:
            UserError: a worker has a single image and nothing to contrast it with.
        """
        if len(images) < 4:
            raise UserError(
                "backbone.pretext=mocov3 contrasts images: it needs 2 or more in each worker's (accumulated) "
                "part of a batch; raise backbone.loop.batch_size or add images."
            )
        views = images.chunk(2)
        maps = [backbone(view) for view in views]
        queries = [self.predictor(self.projector(_pooled(features))) for features in maps]
        with torch.no_grad():
            keys = [self.momentum_projector(_pooled(self.momentum_backbone(view))) for view in views]
        temperature = self.section.temperature
        loss = contrast(queries[0], keys[1], temperature) + contrast(queries[1], keys[0], temperature)
        return PretextOutput(loss, [torch.cat([features[stage] for features in maps]) for stage in stages])

    def stepped(self, backbone: Backbone, done: int, total: int) -> None:
        """Move the momentum encoder; m = 1 − (1 − momentum)·½(1 + cos(π·done/total))."""
        momentum = cosine_schedule(done, total + 1, self.section.momentum, 1.0)
        update_momentum(backbone, self.momentum_backbone, momentum)
        update_momentum(self.projector, self.momentum_projector, momentum)


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """2τ · InfoNCE of queries against all workers' keys; the key of a query's own image is its positive.

    Args:
        queries, keys: this worker's, (B, D), not yet normalised; keys get no gradient.
        temperature: τ.
    """
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys = F.normalize(queries.float(), dim=1), F.normalize(keys.float(), dim=1)
        first = 0
        if dist.is_available() and dist.is_initialized():
            first = dist.get_rank() * len(keys)
            keys = concat_all_gather(keys)
        positives = torch.arange(len(queries), device=queries.device) + first
        return 2 * temperature * F.cross_entropy(queries @ keys.T / temperature, positives)


def _pooled(features: Sequence[Tensor]) -> Tensor:
    return features[-1].mean(dim=(2, 3))
