"""Two lists of one detector's candidate boxes compared whatever their order."""

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Array = npt.NDArray[np.float32]


def paired_differences(
    boxes: tuple[Array, Array], scores: tuple[Array, Array], *, side: float, min_score: float
) -> tuple[float, float]:
    """The largest differences between candidates and their nearest counterparts, either way, in one image.

    Detectors that rank their candidates lay two of nearly equal rank in an order that rounding decides.

    Args:
        boxes: of both lists, each (N, K, 4) pixels.
        scores: of both lists, each (N, C).
        side: of the image, pixels; by how much of it boxes differ counts as much as by how much scores do.
        min_score: candidates that are no better are nobody's detections and are not looked at.

    Returns:
        Of boxes in pixels, and of scores.
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
