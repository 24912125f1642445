"""Boxes of the tables, dicts of their sides, as plain numbers and as arrays."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

SIDES = ("x0", "y0", "x1", "y1")


def sides(box: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """The x0, y0, x1, y1 of a table's box."""
    return float(box["x0"]), float(box["y0"]), float(box["x1"]), float(box["y1"])


def box_array(boxes: Iterable[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
    """Boxes of a table as (N, 4) float64 x0 y0 x1 y1."""
    return np.array([sides(box) for box in boxes], dtype=np.float64).reshape(-1, 4)
