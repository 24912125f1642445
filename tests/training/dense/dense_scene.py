"""Small images with pixel masks, drawn from a seed: bright discs and dark bars on noise."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.annotations.rle import encode_mask
from training.dense.data import DenseSample, PackedPatch

CLASSES = ("bar", "disc")


def scene(
    folder: Path, number: int, width: int = 90, height: int = 70, *, normal: bool = False
) -> DenseSample:
    """One image as a sample, written as PNG."""
    rng = np.random.default_rng(number)
    image = rng.integers(90, 150, (height, width, 3), dtype=np.uint8)
    objects = []
    for label in () if normal else (0, 1):
        w, h = (24, 8) if label == 0 else (14, 14)
        left, top = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        y, x = np.mgrid[0:h, 0:w]
        mask = np.ones((h, w), np.bool_) if label == 0 else (y - 6.5) ** 2 + (x - 6.5) ** 2 <= 49
        image[top : top + h, left : left + w][mask] = 20 if label == 0 else 240
        box = (float(left), float(top), float(left + w), float(top + h))
        objects.append(PackedPatch(label, box, left, top, w, h, encode_mask(mask), stray=False))
    path = folder / f"{number}.png"
    Image.fromarray(image).save(path)
    return DenseSample(f"{number:032x}", str(path), width, height, tuple(objects))
