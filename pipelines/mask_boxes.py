"""Boxes of a pixel mask: one per connected region, as detection labels."""

import cv2
import numpy as np
import numpy.typing as npt

MIN_AREA = 9  # pixels; smaller regions are stray pixels of a hand-drawn mask


def boxes_of_mask(mask: npt.NDArray[np.bool_]) -> list[tuple[float, float, float, float]]:
    """Smallest rectangles around the 8-connected regions of at least `MIN_AREA` pixels, as x0, y0, x1, y1.

    Args:
        mask: (H, W), bool.

    Returns:
        Pixel coordinates with x1, y1 exclusive. The largest region is kept even below `MIN_AREA`, so that a
        defect image never loses its only label.
    """
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    regions = sorted(stats[1:count].tolist(), key=lambda row: -row[cv2.CC_STAT_AREA])
    kept = [row for place, row in enumerate(regions) if place == 0 or row[cv2.CC_STAT_AREA] >= MIN_AREA]
    return [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h, _ in kept]
