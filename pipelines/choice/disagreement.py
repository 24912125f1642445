"""How far two sets of boxes disagree on an image."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.tables import box_array


def box_disagreement(first: Iterable[Mapping[str, Any]], second: Iterable[Mapping[str, Any]]) -> float:
    """Share of the area within boxes of either set that lies in boxes of one set alone, 0–1; 0 without any.

    The areas are exact: the sides of all boxes cut the image into cells, which lie wholly in a box or out.

    Args:
        first, second: boxes with x0, y0, x1, y1; one without an area covers nothing.
    """
    one, other = box_array(first), box_array(second)
    every = np.concatenate([one, other])
    xs, ys = np.unique(every[:, 0::2]), np.unique(every[:, 1::2])
    if len(xs) < 2 or len(ys) < 2:
        return 0.0
    areas = np.diff(ys)[:, None] * np.diff(xs)
    inside, also = _covered(one, xs, ys), _covered(other, xs, ys)
    either = float(areas[inside | also].sum())
    return float(areas[inside ^ also].sum()) / either if either > 0 else 0.0


def _covered(
    boxes: npt.NDArray[np.float64], xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which cells lie in a box, (len(ys) - 1, len(xs) - 1)."""
    cells = np.zeros((len(ys) - 1, len(xs) - 1), np.bool_)
    for x0, y0, x1, y1 in boxes:
        rows = slice(*np.searchsorted(ys, (y0, y1)))
        cells[rows, slice(*np.searchsorted(xs, (x0, x1)))] = True
    return cells
