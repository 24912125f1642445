"""The trained layers: levels of frozen features in, logits of "anomalous" by place out."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32  # channels in which the levels of a painted head meet


class FusedHead(nn.Module):
    """Levels of any grids summed on the finest one, two convolutions, one logit a place.

    Semantic-FPN's form (Kirillov et al., CVPR 2019) at its smallest: one convolution for a level.

    Args:
        channels: channels of each level.
        grids: places along a side of each level.
        width: channels in which the levels meet.
    """

    def __init__(self, channels: Sequence[int], grids: Sequence[int], width: int = WIDTH) -> None:
        super().__init__()
        self.channels, self.grids, self.width = tuple(channels), tuple(grids), width
        # Features of other levels and networks have other scales; the statistics are learnt with the head.
        self.scales = nn.ModuleList(nn.BatchNorm2d(count) for count in channels)
        self.levels = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.joint = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.logit = nn.Conv2d(width, 1, 1)

    @property
    def grid(self) -> int:
        """Places along a map's side."""
        return max(self.grids)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """(B, 1, g, g) logits, g the finest grid.

        Args:
            levels: (B, C, h, h) float32 each, in the order of `channels`.
        """
        size = (self.grid, self.grid)
        met = [
            F.interpolate(layer(scale(level)), size, mode="bilinear", align_corners=False)
            for level, scale, layer in zip(levels, self.scales, self.levels, strict=True)
        ]
        logits: Tensor = self.logit(self.joint(torch.stack(met).sum(0)))
        return logits


class StageLinears(nn.Module):
    """April-GAN's head: a linear layer for each stage, from the patch tokens into the text's space.

    Source: Chen et al., A Zero-/Few-Shot Anomaly Classification and Segmentation Method (arXiv 2305.17382),
    section 2.1.

    Args:
        channels: width of each stage's tokens.
        embedding: D, width of the text's space.
    """

    def __init__(self, channels: Sequence[int], embedding: int) -> None:
        super().__init__()
        self.channels, self.embedding = tuple(channels), embedding
        self.stages = nn.ModuleList(nn.Linear(count, embedding) for count in channels)

    def forward(self, levels: Sequence[Tensor], t_n: Tensor, t_a: Tensor, temperature: float) -> Tensor:
        """(B, stages, g, g) logits: their sigmoid is the softmax over both cosines over τ.

        Args:
            levels: (B, C, g, g) each.
            t_n, t_a: (B, D) or (1, D), L2-normalised.
            temperature: τ.
        """
        return torch.stack(
            [
                cosine_logits(layer(level.permute(0, 2, 3, 1)), t_n, t_a, temperature)
                for level, layer in zip(levels, self.stages, strict=True)
            ],
            dim=1,
        )


class PromptPair(nn.Module):
    """The embeddings that learnt prompts have come to: all that maps need of them.

    Args:
        embedding: D, width of the text's space.

    Attributes:
        t_n, t_a: (D,) L2-normalised, normal and anomalous.
    """

    t_n: Tensor
    t_a: Tensor

    def __init__(self, embedding: int) -> None:
        super().__init__()
        self.register_buffer("t_n", torch.zeros(embedding))
        self.register_buffer("t_a", torch.zeros(embedding))


def cosine_logits(patches: Tensor, t_n: Tensor, t_a: Tensor, temperature: float) -> Tensor:
    """`(cos(p, t_a) − cos(p, t_n)) / τ`; (B, h, w).

    Args:
        patches: (B, h, w, D) of any length.
        t_n, t_a: (B, D) or (1, D), L2-normalised.
        temperature: τ.
    """
    along = F.normalize(patches, dim=-1) * (t_a - t_n)[:, None, None, :]
    return along.sum(-1) / temperature
