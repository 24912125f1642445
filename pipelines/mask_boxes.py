"""Boxes of a pixel mask: one per connected region, as detection labels."""

import numpy as np
import numpy.typing as npt

from pipelines.components import components

MIN_AREA = 9  # pixels; smaller regions are stray pixels of a hand-drawn mask


def boxes_of_mask(mask: npt.NDArray[np.bool_]) -> list[tuple[float, float, float, float]]:
    """Smallest rectangles around the 8-connected regions of at least `MIN_AREA` pixels, as x0, y0, x1, y1.

    Args:
        mask: (H, W), bool.

    Returns:
        Pixel coordinates with x1, y1 exclusive. The largest region is kept even below `MIN_AREA`, so that a
        defect image never loses its only label.
    """
    regions = sorted(
        ((np.count_nonzero(region), x, y, *region.shape) for y, x, region in components(mask)),
        key=lambda found: -found[0],
    )
    kept = [found for place, found in enumerate(regions) if place == 0 or found[0] >= MIN_AREA]
    return [(float(x), float(y), float(x + w), float(y + h)) for _, x, y, h, w in kept]
