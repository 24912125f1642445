"""Compares two lists of one detector's candidate boxes in any order."""

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Array = npt.NDArray[np.float32]


def paired_differences(
    boxes: tuple[Array, Array], scores: tuple[Array, Array], *, side: float, min_score: float
) -> tuple[float, float]:
    """The largest differences between candidates and their nearest counterparts, either way, in one image.

    Rounding decides the order of candidates of nearly equal rank.

    Args:
        boxes: both lists' boxes, each (N, K, 4) pixels.
        scores: both lists' scores, each (N, C).
        side: the image's side, pixels; box differences as shares of it weigh as much as score differences.
        min_score: score at or below which candidates are ignored.

    Returns:
        The differences of boxes in pixels, and of scores.
    """
    count = len(boxes[0])
    places = [
        np.concatenate([b.reshape(count, -1) / side, s], axis=1) for b, s in zip(boxes, scores, strict=True)
    ]
    largest = [0.0, 0.0]
    for one, other in ((0, 1), (1, 0)):
        rows = np.flatnonzero(scores[one].max(axis=1) > min_score)
        if not len(rows):
            continue
        nearest = cdist(places[one][rows], places[other], "chebyshev").argmin(axis=1)
        for kind, values in enumerate((boxes, scores)):
            difference = np.abs(values[one][rows] - values[other][nearest]).max()
            largest[kind] = max(largest[kind], float(difference))
    return largest[0], largest[1]
