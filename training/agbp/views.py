"""Augmentation of an image together with its anomaly map, which always lies over the same pixels."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.images import resized
from training.agbp.section import ViewAugment
from training.models import Image

Map = npt.NDArray[np.float32]


def resize_square(image: Image, size: int) -> Image:
    """Resize (H, W, 3) to (size, size, 3), stretched as the maps' images were; shrinking averages areas."""
    return resized(image, size, size)


def lay_over(anomaly_map: Map, size: int) -> Map:
    """Bring a (rows, columns) map onto the (size, size) pixels of its image, bilinear, centres at the half.

    A side of more cells than pixels is averaged by areas first, so that no cell is passed over.
    """
    return resized(anomaly_map, size, size)


def geometric(
    image: Image, anomaly_map: Map, rng: np.random.Generator, section: ViewAugment
) -> tuple[Image, Map]:
    """One random crop, resized back, and flips, done to both alike.

    Args:
        image: (S, S, 3) uint8.
        anomaly_map: (S, S) float32, from `lay_over`.
        rng: the only source of chance.
        section: see `ViewAugment`.

    Returns:
        Both in the shapes they came in.
    """
    size = image.shape[0]
    area = rng.uniform(section.min_crop, 1.0)
    stretch = math.exp(rng.uniform(-1, 1) * math.log(section.aspect))
    width = min(size, max(1, round(size * math.sqrt(area * stretch))))
    height = min(size, max(1, round(size * math.sqrt(area / stretch))))
    left = int(rng.integers(0, size - width + 1))
    top = int(rng.integers(0, size - height + 1))
    mirror, invert = rng.random(2) < section.flip

    image = image[top : top + height, left : left + width]
    anomaly_map = anomaly_map[top : top + height, left : left + width]
    if (height, width) != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
        anomaly_map = lay_over(anomaly_map, size)
    if mirror:
        image, anomaly_map = image[:, ::-1], anomaly_map[:, ::-1]
    if invert:
        image, anomaly_map = image[::-1], anomaly_map[::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(anomaly_map)


def photometric(image: Image, rng: np.random.Generator, section: ViewAugment) -> Image:
    """Random brightness and contrast of (H, W, 3) uint8, by one lookup table."""
    shift = 255 * rng.uniform(-section.brightness, section.brightness)
    factor = 1 + rng.uniform(-section.contrast, section.contrast)
    mean = float(image.mean())
    levels = (np.arange(256) - mean) * factor + mean + shift
    table: Image = np.clip(levels.round(), 0, 255).astype(np.uint8)
    return table[image]
