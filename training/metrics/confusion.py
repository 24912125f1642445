"""Which classes a detector confuses: the confusion matrix of detections."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.metrics.coco import Detections, TrueObjects
from training.metrics.floors import CONFUSION_IOU, CONFUSION_SCORE

Matrix = npt.NDArray[np.int64]

BACKGROUND = "background"


def confusion_matrix(
    truths: Sequence[TrueObjects],
    detections: Sequence[Detections],
    classes: int,
    *,
    min_score: float = CONFUSION_SCORE,
    min_iou: float = CONFUSION_IOU,
) -> Matrix:
    """How often a true class was found as which; the last row and column are the background.

    Detections, by falling score, claim the unclaimed true box that they overlap most, whatever its class, as
    in ultralytics' `ConfusionMatrix`. A detection that claims none and lies in an ignored region counts
    nowhere, whatever its class.

    Args:
        truths, detections: one per image, in the same order.
        classes: number of classes, C.
        min_score: score that a counted detection exceeds.
        min_iou: overlap that a match exceeds; of a detection in an ignored region the share of its own area.

    Returns:
        (C + 1, C + 1): row the true class, column the found one. The last row counts detections of nothing,
        the last column true boxes that were missed.
    """
    matrix: Matrix = np.zeros((classes + 1, classes + 1), dtype=np.int64)
    for truth, detected in zip(truths, detections, strict=True):
        kept = np.flatnonzero(detected.scores > min_score)
        kept = kept[np.argsort(-detected.scores[kept], kind="stable")]
        objects = truth.objects
        overlap = iou(truth.boxes[objects], detected.boxes[kept])
        within = share_within(detected.boxes[kept], truth.boxes[~objects]).max(axis=1, initial=0)
        uncounted = set(kept[within > min_iou].tolist())
        matched: dict[int, int] = {}  # true box → detection
        for column, detection in enumerate(kept.tolist()):
            free = overlap[:, column]
            if not len(free):
                break
            best = int(free.argmax())
            if free[best] > min_iou:
                matched[best] = detection
                overlap[best] = 0
        for box, label in enumerate(truth.labels[objects].tolist()):
            matrix[label, int(detected.labels[matched[box]]) if box in matched else classes] += 1
        for detection in set(kept.tolist()) - set(matched.values()) - uncounted:
            matrix[classes, int(detected.labels[detection])] += 1
    return matrix


def iou(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, M) intersection over union of boxes (N, 4) and (M, 4), x0 y0 x1 y1; 0 where both are empty."""
    shared = _shared(first, second)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    overlap: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def share_within(boxes: npt.NDArray[np.float64], regions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, M) share of each box of (N, 4) that lies in each region of (M, 4); 0 where the box is empty.

    It is the overlap that COCO's protocol takes for crowds.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    shared = _shared(boxes, regions)
    share: npt.NDArray[np.float64] = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
    return share


def _shared(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, M) common area of boxes (N, 4) and (M, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: npt.NDArray[np.float64] = np.clip(high - low, 0, None).prod(axis=2)
    return shared
