"""Overlapping tiles of a plane, and the weights by which they are joined without a seam."""

import numpy as np
import numpy.typing as npt


def tile_corners(
    width: int, height: int, side: int | tuple[int, int], overlap: float
) -> list[tuple[int, int]]:
    """Left and top of tiles that cover a plane, row by row; the last ones are flush with its border.

    Args:
        width, height: sides of the plane; one shorter than a tile is covered by a tile that sticks out.
        side: side of a square tile, or width and height of any, in the same units.
        overlap: least share of a tile that it has in common with the next, 0 ≤ overlap < 1.
    """
    across, down = side if isinstance(side, tuple) else (side, side)
    columns, rows = _places(width, across, overlap), _places(height, down, overlap)
    return [(left, top) for top in rows for left in columns]


def _places(length: int, side: int, overlap: float) -> list[int]:
    step = max(1, int(side * (1 - overlap)))
    last = max(0, length - side)
    return [*range(0, last, step), last]


def taper(height: int, width: int) -> npt.NDArray[np.float32]:
    """(height, width) weights that fall toward the border, where a model sees least; all above 0."""

    def side(length: int) -> npt.NDArray[np.float32]:
        places = np.arange(length, dtype=np.float32) + np.float32(0.5)
        return np.asarray(np.minimum(places, np.float32(length) - places), np.float32)

    return np.asarray(side(height)[:, None] * side(width)[None, :], np.float32)
