"""Which test images a start improves most and which it harms most (Fig. 4 of the paper); numbers alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.tables import LabelRow
from training.metrics import confusion_matrix
from training.report.judged_images import class_numbers, detections, truth
from training.report.lead import BASELINE

OURS = "agssp"

Rows = Mapping[str, Sequence[Mapping[str, Any]]]  # predicted boxes by image id


@dataclass(frozen=True)
class Case:
    """A test image on which two starts differ.

    Attributes:
        before, after: F1 of the start without and of the one with pretraining, 0…1.
    """

    image_id: str
    before: float
    after: float

    @property
    def gain(self) -> float:
        """What pretraining brings, -1…1."""
        return self.after - self.before


def compared_pair(starts: Collection[str]) -> tuple[str, str] | None:
    """The starts without and with pretraining: scratch, else the first, and agssp, else the last.

    Returns:
        None where there are not two of them.
    """
    order = list(starts)
    with_it = OURS if OURS in order else next((one for one in reversed(order) if one != BASELINE), None)
    without = BASELINE if BASELINE in order else next((one for one in order if one != with_it), None)
    return None if with_it is None or without is None else (without, with_it)


def image_f1(label: LabelRow, boxes: Sequence[Mapping[str, Any]], min_score: float) -> float:
    """F1 of an image's detections above a score, at IoU 0.5; 1 where there is nothing and none is found.

    What is found in an ignored region counts nowhere; a detection of another class is a miss and a false one.
    """
    numbers = class_numbers({"": label}, [""])
    numbers |= {
        box["label"]: len(numbers) + place for place, box in enumerate(boxes) if box["label"] not in numbers
    }
    classes = max(numbers.values(), default=-1) + 1
    matrix = confusion_matrix(
        [truth(label, numbers)], [detections(boxes, numbers)], classes, min_score=min_score, min_iou=0.5
    )
    right = int(np.trace(matrix[:-1, :-1]))
    objects, found = int(matrix[:-1].sum()), int(matrix[:, :-1].sum())
    return 2 * right / (objects + found) if objects + found else 1.0


def cases(
    labels: Mapping[str, LabelRow], before: Rows, after: Rows, limit: int, min_score: float
) -> tuple[list[Case], list[Case]]:
    """The images that gained most, and those that lost most; equal ones in the order of their ids.

    Args:
        labels: truth by image id.
        before, after: predictions of both starts on the same images.
        limit: most images of either kind.
        min_score: least score of a detection.
    """
    every = [
        Case(
            image,
            image_f1(labels[image], before[image], min_score),
            image_f1(labels[image], after[image], min_score),
        )
        for image in sorted(before.keys() & after.keys())
    ]
    ranked = sorted(every, key=lambda case: -case.gain)
    good = [case for case in ranked if case.gain > 0][:limit]
    bad = [case for case in reversed(ranked) if case.gain < 0][:limit]
    return good, bad
