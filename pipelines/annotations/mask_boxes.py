"""The regions of a pixel mask and their boxes: one per connected region, as detection labels; and back."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.images.components import components

MIN_AREA = 9  # pixels; smaller regions are stray pixels of a hand-drawn mask

Mask = npt.NDArray[np.bool_]


def regions_of_mask(mask: Mask) -> list[tuple[int, int, Mask, bool]]:
    """The 8-connected regions of a mask, largest first: top row, left column, own mask, whether it is stray.

    Args:
        mask: (H, W), bool.

    Returns:
        The regions. One below `MIN_AREA` pixels is stray, except the largest, so that a defect image never
        loses its only label.
    """
    regions = [(int(np.count_nonzero(region)), y, x, region) for y, x, region in components(mask)]
    regions.sort(key=lambda entry: -entry[0])
    return [(y, x, part, place > 0 and area < MIN_AREA) for place, (area, y, x, part) in enumerate(regions)]


def boxes_of_mask(mask: Mask) -> list[tuple[float, float, float, float]]:
    """Smallest rectangles around the regions that are not stray, as x0, y0, x1, y1.

    Args:
        mask: (H, W), bool.

    Returns:
        Pixel coordinates with x1, y1 exclusive.
    """
    return [
        (float(x), float(y), float(x + region.shape[1]), float(y + region.shape[0]))
        for y, x, region, stray in regions_of_mask(mask)
        if not stray
    ]


def box_around(mask: Mask) -> tuple[float, float, float, float]:
    """Smallest rectangle around all pixels of a mask, as x0, y0, x1, y1 with x1, y1 exclusive.

    Args:
        mask: (H, W), bool, with at least one pixel.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def mask_of_boxes(
    boxes: Sequence[Sequence[float]] | npt.NDArray[np.floating], width: int, height: int
) -> Mask:
    """(H, W) bool, True inside any of the boxes: what stands for a mask where only boxes are known.

    Args:
        boxes: x0, y0, x1, y1 of each, pixels; rounded, a pixel wide and high at least, cut to the image.
        width, height: of the image, pixels.
    """
    mask = np.zeros((height, width), np.bool_)
    for x0, y0, x1, y1 in np.asarray(boxes, np.float64).reshape(-1, 4).round().astype(int).tolist():
        left, top = min(max(0, x0), width - 1), min(max(0, y0), height - 1)
        mask[top : max(top + 1, y1), left : max(left + 1, x1)] = True
    return mask
