"""Maps with two components whose boxes overlap by exactly a limit that float32 can't hold."""

import numpy as np
from numpy.typing import NDArray

# Box of an L and of a block between its arms, width and height each: shares 4/5, 3/5 and 3/10 of the L's box.
SIDES = {0.8: ((35, 32), (32, 28)), 0.6: ((20, 20), (16, 15)), 0.3: ((20, 20), (12, 10))}


def tied_map(limit: float) -> NDArray[np.float32]:
    """(64, 64): an L of value 1 and a block of 0.9, 8-connected apart; 0 elsewhere."""
    (width, height), (across, down) = SIDES[limit]
    grid = np.zeros((64, 64), np.float32)
    grid[:height, 0] = grid[height - 1, :width] = 1.0
    grid[:down, width - across : width] = 0.9
    return grid


def tied_boxes(limit: float) -> list[tuple[float, float, float, float]]:
    """The two boxes, the L's first."""
    (width, height), (across, down) = SIDES[limit]
    return [(0.0, 0.0, width, height), (float(width - across), 0.0, width, down)]
