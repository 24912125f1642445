"""Masks drawn from polygons as COCO draws them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as coco_mask

from pipelines.annotations.base import OVERHANG, AnnotationError, Mask, finite

MAX_OUTLINE = 2_000_000  # pixels along the edges of one image's polygons; bounds the work of drawing them

Polygon = npt.NDArray[np.float64]  # (points, 2): x, y in pixels


def checked_polygon(
    flat: Sequence[object], width: int, height: int, mended: list[str] | None = None
) -> Polygon:
    """The points of `x0 y0 x1 y1 …`, cut to the image where they stick out by a pixel or less.

    Args:
        flat: the coordinates, x and y in turn.
        width, height: the image's size in pixels.
        mended: list of repairs; if given, points further out are moved to the border too and noted here.

    Raises:
        AnnotationError: fewer than three points, a value that is no finite number, a point outside the image.
    """
    if len(flat) < 6 or len(flat) % 2:
        raise AnnotationError("a polygon needs at least three pairs of x and y")
    points = np.array([finite(value) for value in flat]).reshape(-1, 2)
    size = np.array([width, height], dtype=np.float64)
    if (points < -OVERHANG).any() or (points > size + OVERHANG).any():
        if mended is None or (points.max(axis=0) <= 0).any() or (points.min(axis=0) >= size).any():
            raise AnnotationError(f"a polygon lies outside the image of {width}×{height} pixels")
        mended.append(f"a polygon sticks out of the image of {width}×{height} pixels: cut to it")
    cut: Polygon = np.clip(points, 0.0, size)
    return cut


def mask_of_polygons(polygons: Sequence[Polygon], width: int, height: int) -> Mask:
    """The union of the polygons' insides, (height, width).

    Raises:
        AnnotationError: their outlines are absurdly long.
    """
    outline = sum(float(np.abs(points - np.roll(points, 1, axis=0)).sum()) for points in polygons)
    if outline > MAX_OUTLINE:
        raise AnnotationError(f"its polygons have outlines of more than {MAX_OUTLINE:,} pixels")
    if not polygons:
        return np.zeros((height, width), np.bool_)
    drawn = coco_mask.frPyObjects([points.reshape(-1).tolist() for points in polygons], height, width)
    mask: Mask = coco_mask.decode(coco_mask.merge(drawn)).astype(np.bool_)
    return mask
