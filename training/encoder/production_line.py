"""The surfaces of one production line, drawn by a process that needs no PyTorch."""

import cv2
import numpy as np

from pipelines.surfaces import CATEGORIES, generate

FIRST_TRAINING_SEED = 1_000_000_000  # smaller seeds are never trained on
SAMPLES_PER_LINE = 4
# Kinds with real photographs to compare with get more of the pool.
MIX: tuple[str, ...] = (*CATEGORIES, "magnetic_tile", "magnetic_tile", "steel_strip")
CHUNK = SAMPLES_PER_LINE * len(MIX)  # one production line


def draw_line(first: int, count: int, seed: int, size: int, grid: int) -> tuple[np.ndarray, ...]:
    """Columns of a `SurfacePool` for the samples from `first` on; its arguments are those of `make_pool`."""
    cv2.setNumThreads(1)
    names = list(CATEGORIES)
    images = np.empty((count, 3, size, size), np.uint8)
    cover = np.empty((count, grid, grid), np.float32)
    category = np.empty(count, np.int64)
    defect = np.full(count, -1, np.int64)
    for row in range(count):
        index = first + row
        line = FIRST_TRAINING_SEED + seed * 1_000_000 + index // CHUNK
        sample = generate(line, index, size=size, category=MIX[index % len(MIX)], defect_share=0.6)
        images[row] = sample.image.transpose(2, 0, 1)
        patch = size // grid
        cover[row] = sample.mask.reshape(grid, patch, grid, patch).mean((1, 3))
        category[row] = names.index(sample.category)
        if sample.defect is not None:
            defect[row] = CATEGORIES[sample.category].defects.index(sample.defect)
    return images, cover, category, defect
