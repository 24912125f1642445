"""Connected regions of a mask."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]


def components(mask: Mask) -> Iterator[tuple[int, int, Mask]]:
    """The 8-connected regions of a mask, in the order of their first pixels, row by row from the top left.

    Args:
        mask: (H, W), bool.

    Yields:
        Top row, left column, and the region's own mask cut to its bounding box.
    """
    # OpenCV's statistics take eight times as long as its labels, for centroids that nobody asked for.
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return
    _, labels = cv2.connectedComponents(
        mask[top : top + height, left : left + width].astype(np.uint8), connectivity=8
    )
    regions = [
        (top + rows.start, left + columns.start, labels[rows, columns] == label)
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), 1)
    ]
    # OpenCV numbers blocks of 2×2 pixels, so its labels don't follow the first pixels.
    yield from sorted(regions, key=lambda region: (region[0], region[1] + int(region[2][0].argmax())))


def joined_components(mask: Mask, gap: int) -> Iterator[tuple[int, int, Mask]]:
    """As `components`, but regions with at most `gap` pixels between them, diagonally too, are one.

    Args:
        mask: (H, W), bool.
        gap: pixels; 0 gives the 8-connected regions.
    """
    if gap == 0:
        yield from components(mask)
        return
    # Squares of gap + 1 pixels touch when at most `gap` pixels lie between the pixels they are drawn around.
    square = np.ones((gap + 1, gap + 1), np.uint8)
    grown = cv2.dilate(mask.view(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    for y, x, around in components(grown.astype(np.bool_)):
        height, width = around.shape
        inside = around & mask[y : y + height, x : x + width]
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        cut = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        yield y + int(rows[0]), x + int(columns[0]), cut
