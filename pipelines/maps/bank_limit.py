"""Smaller memory banks: the embeddings that differ most (farthest-point sampling, as in PatchCore)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.banks import farthest

DIMENSIONS = 32  # of a random projection, by which distances are told; PatchCore takes 128


def spread_banks(banks: Sequence[Tensor], most: int) -> tuple[Tensor, ...]:
    """At most so many rows of each bank; those of one length, layers of the same patches, keep the same rows.

    Args:
        banks: (R, D) float32 each.
        most: rows kept of each, at least 1.
    """
    chosen = {}
    for rows in {len(bank) for bank in banks if len(bank) > most}:
        together = torch.cat([bank for bank in banks if len(bank) == rows], 1)
        chosen[rows] = spread(together, most)
    return tuple(bank[chosen[len(bank)]] if len(bank) in chosen else bank for bank in banks)


def spread(points: Tensor, most: int) -> Tensor:
    """So many row numbers, rising, (most,) int64: from the first on, each the farthest from those before.

    Source: Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022, algorithm 1.

    Args:
        points: (R, D) float32, R ≥ `most`; the same points always give the same rows.
        most: number of rows.
    """
    if points.shape[1] > DIMENSIONS:
        generator = torch.Generator().manual_seed(0)
        points = points @ torch.randn(points.shape[1], DIMENSIONS, generator=generator)
    return farthest(points, most, 0).sort().values
