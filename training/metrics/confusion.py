"""Which classes a detector confuses: the confusion matrix of detections."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.boxes import ious, shares_within
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
        overlap = ious(truth.boxes[objects], detected.boxes[kept])
        within = shares_within(detected.boxes[kept], truth.boxes[~objects]).max(axis=1, initial=0)
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
