"""Distances of patches to a bank: nearest reference, mutual scoring, several levels on one grid."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

AT_ONCE = 1 << 25  # cosines held at once, 128 MiB in float32


def averaged(features: Tensor) -> Tensor:
    """Each place's mean direction with its neighbours, L2-normalised: what a patch is compared by.

    The mean over 3×3 places is PatchCore's (Roth et al., CVPR 2022, section 3.1); that features are made of
    length 1 before it is ours. At the border it is over the places that there are.

    Args:
        features: (B, D, h, w).

    Returns:
        (B, h, w, D).
    """
    mean = F.avg_pool2d(F.normalize(features, dim=1), 3, stride=1, padding=1, count_include_pad=False)
    return F.normalize(mean.permute(0, 2, 3, 1), dim=-1)


def nearest(patches: Tensor, bank: Tensor) -> Tensor:
    """`min_r ½(1 − p·r)`, 0…1; the bank is read piece by piece.

    Args:
        patches: (N, D) L2-normalised.
        bank: (R, D) L2-normalised, R ≥ 1.

    Returns:
        (N,).
    """
    most = torch.full((len(patches),), -1.0, dtype=patches.dtype, device=patches.device)
    for part in torch.split(bank, max(1, AT_ONCE // max(1, len(patches)))):
        most = torch.maximum(most, (patches @ part.T).amax(1))
    return (0.5 * (1 - most)).clamp(0, 1)


def mutual(patches: Tensor, sample: Sequence[Tensor], lowest: float) -> Tensor:
    """The mean of each patch's `lowest` distances, one to the nearest patch of every sample image.

    Mutual scoring of MuSc (Li et al., ICLR 2024, arXiv 2401.16753, section 3.2), whose mean is over the
    lowest 30 % of the other images; a sample in the place of all of them is ours.

    Args:
        patches: (N, D) L2-normalised.
        sample: S ≥ 1 images' patches, (R, D) L2-normalised each.
        lowest: share of the S images, of which at least one counts.

    Returns:
        (N,), 0…1.
    """
    distances = torch.stack([nearest(patches, image) for image in sample])
    count = max(1, round(lowest * len(sample)))
    return distances.topk(count, dim=0, largest=False).values.mean(0)


def on_grid(distances: Tensor, grid: int) -> Tensor:
    """(B, s, s) to (B, grid, grid), bilinear with half-pixel centres."""
    if distances.shape[-1] == grid:
        return distances
    return F.interpolate(distances[:, None], (grid, grid), mode="bilinear", align_corners=False)[:, 0]


def joined(levels: Sequence[Tensor], grid: int) -> Tensor:
    """The mean over levels, each (B, s, s), on one grid; (B, grid, grid)."""
    return torch.stack([on_grid(level, grid) for level in levels]).mean(0)


def views(images: Tensor, kind: str) -> Tensor:
    """Images with their flips, or their flips and turns by quarters; (B·v, 3, S, S), v = 1, 4 or 8.

    Args:
        images: (B, 3, S, S).
        kind: see `BankSection.views`.
    """
    if kind == "image":
        return images
    flipped = [images, images.flip(3), images.flip(2), images.flip((2, 3))]
    if kind == "turns":
        flipped += [image.transpose(2, 3) for image in flipped]
    return torch.cat(flipped)
