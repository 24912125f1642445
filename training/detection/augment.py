"""Augmentation of images of one size with boxes: mosaic, scale, shift, flips, colour; all from one generator.

The libraries' own draws from global random states, but every resumed or distributed epoch must repeat.
"""

import cv2
import numpy as np
import numpy.typing as npt

from training.detection.augment_section import BoxAugment, ColourSection
from training.models import FILL, Boxes, Image

Labels = npt.NDArray[np.int64]
Labelled = tuple[Image, Boxes, Labels]

MIN_SIDE = 2.0  # pixels of the input; a smaller rest of a box is dropped, unless the box itself is as thin
MIN_VISIBLE = 0.2  # share of its area; a smaller rest at the border no longer shows what it was


def mosaic(parts: list[Labelled], rng: np.random.Generator) -> Labelled:
    """Four (H, W, 3) images around a random centre, as one (2H, 2W, 3) image; parts beyond it are cut off."""
    high, wide = parts[0][0].shape[:2]
    canvas = np.full((2 * high, 2 * wide, 3), FILL, dtype=np.uint8)
    x, y = (int(rng.integers(side // 2, side + side // 2 + 1)) for side in (wide, high))
    boxes, labels = [], []
    for (image, its_boxes, its_labels), left, top in zip(
        parts, (x - wide, x, x - wide, x), (y - high, y - high, y, y), strict=True
    ):
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, 2 * wide), min(top + high, 2 * high)
        canvas[y0:y1, x0:x1] = image[y0 - top : y1 - top, x0 - left : x1 - left]
        boxes.append(its_boxes + np.array([left, top, left, top]))
        labels.append(its_labels)
    joined = clip(np.concatenate(boxes), np.concatenate(labels), (2 * high, 2 * wide))
    return canvas, *joined


def place(item: Labelled, shape: tuple[int, int], section: BoxAugment, rng: np.random.Generator) -> Labelled:
    """Scale, shift and flip an image around its centre into a (H, W, 3) one, the same for its boxes.

    Args:
        item: an image of any size, with boxes and labels.
        shape: H and W.
        section: the largest changes.
        rng: the only source of chance.
    """
    image, boxes, labels = item
    size, sides = np.array(shape[::-1]), np.array(image.shape[1::-1])
    scale = float(rng.uniform(1 - section.scale, 1 + section.scale))
    shift = rng.uniform(-section.shift, section.shift, size=2) * size
    signs = np.where(rng.random(2) < (section.flip_lr, section.flip_ud), -1.0, 1.0)
    factors = scale * signs
    offsets = size / 2 + shift - factors * sides / 2
    # OpenCV counts from pixel centres, boxes from pixel edges: half a pixel apart on both sides.
    centres = offsets + factors / 2 - 0.5
    matrix = np.array([[factors[0], 0, centres[0]], [0, factors[1], centres[1]]])
    placed: Image = cv2.warpAffine(
        image, matrix, shape[::-1], flags=cv2.INTER_LINEAR, borderValue=(FILL,) * 3
    )
    corners = boxes.reshape(-1, 2, 2) * factors + offsets
    moved = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return placed, *clip(moved, labels, shape)


def colour(image: Image, section: ColourSection, rng: np.random.Generator) -> Image:
    """Change hue, saturation and brightness of an RGB image."""
    spans = np.array([section.hue, section.saturation, section.brightness])
    gains = rng.uniform(-1, 1, size=3) * spans + 1
    levels = np.arange(256, dtype=np.float64)
    tables = (
        ((levels * gains[0]) % 180).astype(np.uint8),
        np.clip(levels * gains[1], 0, 255).astype(np.uint8),
        np.clip(levels * gains[2], 0, 255).astype(np.uint8),
    )
    channels = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    changed = cv2.merge([cv2.LUT(channel, table) for channel, table in zip(channels, tables, strict=True)])
    jittered: Image = cv2.cvtColor(changed, cv2.COLOR_HSV2RGB)
    return jittered


def clip(boxes: Boxes, labels: Labels, shape: tuple[int, int]) -> tuple[Boxes, Labels]:
    """Cut boxes at the border of an image of this height and width; too small a rest is dropped."""
    inside = boxes.clip(0, shape[::-1] * 2)
    sides, whole = inside[:, 2:] - inside[:, :2], boxes[:, 2:] - boxes[:, :2]
    least, uncut = sides.min(axis=1, initial=np.inf), whole.min(axis=1, initial=np.inf)
    large = (least > 0) & (least >= np.minimum(MIN_SIDE, uncut))  # a hairline is no rest
    visible = sides.prod(axis=1) >= MIN_VISIBLE * whole.prod(axis=1)
    return inside[large & visible], labels[large & visible]
