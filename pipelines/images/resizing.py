"""Pixels at another size, where one side may shrink and the other grow, as strips do in a square."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt


def resized(pixels: npt.NDArray[Any], width: int, height: int, *, by_areas: bool = False) -> npt.NDArray[Any]:
    """The same picture of another width and height: shrinking averages areas, growing is bilinear.

    OpenCV's INTER_AREA averages only where both sides shrink. Where one grows it takes single pixels along
    the other too, and a scratch between these is gone.

    Args:
        pixels: (H, W) or (H, W, channels), uint8 or float32.
        width, height: the sides wanted, pixels.
        by_areas: whether growing takes areas too, so that a value stays within its own pixel.
    """
    rows, columns = pixels.shape[:2]
    shrunk = min(columns, width), min(rows, height)
    if shrunk != (columns, rows):
        pixels = cv2.resize(pixels, shrunk, interpolation=cv2.INTER_AREA)
    if shrunk != (width, height):
        method = cv2.INTER_AREA if by_areas else cv2.INTER_LINEAR
        pixels = cv2.resize(pixels, (width, height), interpolation=method)
    return np.asarray(pixels)
