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
    if shrunk == (width, height):
        return np.asarray(pixels)
    if by_areas:
        return _spread(_spread(pixels, height, 0), width, 1)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR))


def _spread(pixels: npt.NDArray[Any], length: int, axis: int) -> npt.NDArray[Any]:
    """One side grown by areas: a new pixel lies in one old one or in two, whose shares it takes.

    In whole numbers, as OpenCV's INTER_AREA gives a new pixel to the wrong one of two old ones where their
    border is its own and rounding decides.
    """
    old = pixels.shape[axis]
    if old == length:
        return pixels
    places = np.arange(length)
    first, last = places * old // length, ((places + 1) * old - 1) // length
    share = np.where(first == last, 1.0, ((first + 1) * length - places * old) / old)
    share = share.reshape([-1 if each == axis else 1 for each in range(pixels.ndim)]).astype(np.float32)
    grown = share * pixels.take(first, axis) + (1 - share) * pixels.take(last, axis)
    return np.asarray(np.rint(grown) if pixels.dtype == np.uint8 else grown, pixels.dtype)
