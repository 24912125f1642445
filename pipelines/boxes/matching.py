"""Which boxes meet which objects: one box an object, best boxes first, as the COCO protocol has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.boxes.overlap import ious, shares_within

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Boxes of one image matched with its objects at each least IoU.

    Attributes:
        met: (T, D) int64, place of the object that each box meets; -1 where it meets none.
        ignored: (T, D) bool, boxes that meet no object and lie by that share within an ignored region.
        overlap: (D, N) float64, IoU of each box and object.
    """

    met: Ints
    ignored: Bools
    overlap: Floats

    @property
    def right(self) -> Bools:
        """(T, D) bool, which boxes meet an object."""
        return self.met >= 0


def matched(boxes: Floats, objects: Floats, regions: Floats, least_ious: Sequence[float] | Floats) -> Matches:
    """Match boxes with objects: each box in turn takes the free object that it overlaps most.

    Args:
        boxes: (D, 4) float64 x0 y0 x1 y1, best first.
        objects: (N, 4), each met once.
        regions: (M, 4) in which boxes are neither right nor wrong.
        least_ious: (T,) least IoUs, and least shares of a box that lie within a region, 0–1.
    """
    met = np.full((len(least_ious), len(boxes)), -1, np.int64)
    ignored = np.zeros(met.shape, np.bool_)
    overlap = ious(boxes, objects)
    inside = shares_within(boxes, regions).max(axis=1, initial=0)
    for step, threshold in enumerate(least_ious):
        least = threshold - 1e-10
        free = np.ones(len(objects), np.bool_)
        for place, row in enumerate(overlap):
            candidates = np.where(free, row, -1.0)
            if len(row) and candidates.max() >= least:
                met[step, place] = candidates.argmax()
                free[met[step, place]] = False
        ignored[step] = (met[step] < 0) & (inside >= least)
    return Matches(met, ignored, overlap)
