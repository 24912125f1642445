"""Masks drawn from polygons as COCO draws them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.annotations.base import OVERHANG, AnnotationError, Mask, finite

MAX_OUTLINE = 2_000_000  # pixels along the edges of one image's polygons; bounds the work of drawing them

NO_AREA = 1e-6  # square pixels; what rounding leaves of a line's area

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
    from faster_coco_eval.core import mask as coco_mask  # slow to import; who lists images needs it not

    drawn = coco_mask.frPyObjects([points.reshape(-1).tolist() for points in polygons], height, width)
    mask: Mask = coco_mask.decode(coco_mask.merge(drawn)).astype(np.bool_)
    return mask


def drawn_polygons(
    polygons: Sequence[Polygon], width: int, height: int, mended: list[str] | None = None
) -> list[Polygon]:
    """One object's polygons; where they cover no pixel's centre, strips one pixel wide along their edges.

    COCO draws nothing for a hairline, so its defect would be missing in the mask.

    Args:
        polygons: results of `checked_polygon`, at least one.
        width, height: the image's size in pixels.
        mended: list of repairs; if given, polygons without any area become strips too and are noted here.

    Raises:
        AnnotationError: no area and `mended` is None, or all points are one.
    """
    if mask_of_polygons(polygons, width, height).any():
        return list(polygons)
    strips = [
        _strip(start, end, np.array([width, height], dtype=np.float64))
        for points in polygons
        for start, end in zip(points, np.roll(points, -1, axis=0), strict=True)
        if (start != end).any()
    ]
    if not strips:
        raise AnnotationError("a polygon is empty: all its points are one")
    if all(_area(points) < NO_AREA for points in polygons):
        if mended is None:
            raise AnnotationError("a polygon is empty: it is a line without area")
        mended.append("a polygon is a line without area: drawn one pixel wide")
    return strips


def _area(points: Polygon) -> float:
    """Area by the shoelace formula, square pixels."""
    x, y = (points - points[0]).T
    return abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2


def _strip(start: Polygon, end: Polygon, size: Polygon) -> Polygon:
    """A line as a parallelogram that is one pixel wide across its longer side.

    A horizontal or vertical one is the row or column of pixels that it lies in.
    """
    across = int(np.argmin(np.abs(end - start)))
    near = np.array([start, end])
    near[:, across] -= 0.5
    if start[across] == end[across]:
        near[:, across] = np.floor(start[across])
    near[:, across] = np.clip(near[:, across], 0.0, size[across] - 1)
    far = near[::-1].copy()
    far[:, across] += 1
    strip: Polygon = np.concatenate([near, far])
    return strip
