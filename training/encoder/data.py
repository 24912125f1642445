"""Training data of the shipped encoder: a pool of generated surfaces, and their augmentation."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from training.encoder.production_line import CHUNK, MIX, SAMPLES_PER_LINE, draw_line


@dataclass(frozen=True)
class SurfacePool:
    """Generated samples, held in memory.

    The samples of one look (a category on one production line) stand `len(MIX)` rows apart.

    Attributes:
        images: (n, 3, S, S) uint8, n a multiple of `CHUNK`.
        cover: (n, g, g) float32, the defective share of each patch.
        category: (n,) int64, index into `CATEGORIES`.
        defect: (n,) int64, index into the category's defects, −1 when normal.
    """

    images: Tensor
    cover: Tensor
    category: Tensor
    defect: Tensor


def make_pool(
    count: int, *, seed: int, size: int, grid: int, advance: Callable[[int], object]
) -> SurfacePool:
    """Generate `count` samples on all cores; the same arguments give the same pool.

    Args:
        count: number of samples, rounded up to whole production lines of `CHUNK`.
        seed: training seed; its surfaces' seeds start at `FIRST_TRAINING_SEED`.
        size, grid: side in pixels, patches along it; `size` is a multiple of `grid`.
        advance: function that takes the number of newly finished samples.
    """
    firsts = range(0, count, CHUNK)
    parts = []
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as workers:
        for part in workers.map(draw_line, firsts, repeat(CHUNK), repeat(seed), repeat(size), repeat(grid)):
            parts.append(part)
            advance(CHUNK)
    images, cover, category, defect = (
        torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)
    )
    return SurfacePool(images, cover, category, defect)


def draw_looks(pool: SurfacePool, count: int, rng: torch.Generator) -> Tensor:
    """Rows of `count` random looks, (count · SAMPLES_PER_LINE,) int64, each look's rows together."""
    look = torch.randint(len(pool.images) // SAMPLES_PER_LINE, (count, 1), generator=rng)
    first = look // len(MIX) * CHUNK + look % len(MIX)
    return (first + torch.arange(SAMPLES_PER_LINE) * len(MIX)).flatten()


def augment(images: Tensor, cover: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flips and quarter turns, gain, offset, gamma, loss of colour, noise.

    Args:
        images: (B, 3, S, S) uint8.
        cover: (B, g, g) float32, see `SurfacePool`.

    Returns:
        (B, 3, S, S) float32 in 0…1, and the cover with the same flips and turns.
    """

    def per_image(low: float, high: float) -> Tensor:
        return torch.rand(len(images), 1, 1, 1, generator=rng) * (high - low) + low

    def chosen(share: float) -> Tensor:
        return torch.rand(len(images), generator=rng) < share

    pixels, cover = images.float() / 255, cover.clone()
    for axis in (-1, -2):
        rows = chosen(0.5)
        pixels[rows], cover[rows] = pixels[rows].flip(axis), cover[rows].flip(axis)
    rows = chosen(0.3)
    pixels[rows], cover[rows] = pixels[rows].transpose(-1, -2), cover[rows].transpose(-1, -2)
    rows = chosen(0.4)
    pixels[rows] = pixels[rows].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    pixels = pixels.clamp(1e-3, 1) ** torch.exp(per_image(-0.4, 0.4))
    pixels = pixels * per_image(0.7, 1.3) + per_image(-0.08, 0.08)
    strength = per_image(0, 0.02) * chosen(0.4).view(-1, 1, 1, 1)
    pixels = pixels + strength * torch.randn(pixels.shape, generator=rng)
    return pixels.clamp(0, 1), cover
