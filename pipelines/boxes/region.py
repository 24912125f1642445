"""A connected region of a binarised map."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Region:
    """One region of a binarised map.

    Attributes:
        x, y: upper left corner of its smallest rectangle, in pixels.
        inside: (height, width) bool, the region's pixels in that rectangle.
        peak: maximum of M inside.
    """

    x: int
    y: int
    inside: npt.NDArray[np.bool_]
    peak: float

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.inside))

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 of the rectangle, x1 and y1 exclusive."""
        height, width = self.inside.shape
        return float(self.x), float(self.y), float(self.x + width), float(self.y + height)
