"""Run lengths by defect class, as in Severstal's table."""

import json

import numpy as np

from pipelines.annotations.base import Annotation, LabelledBox, Mask, Truth
from pipelines.annotations.faults import Faults
from pipelines.annotations.mask_files import truth_of_mask
from pipelines.annotations.rle import mask_of_runs


def read_class_runs(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The union of all classes' masks, and a box around every region of every class.

    `annotation.content` is a JSON object: defect class → `start length …`, see `mask_of_runs`.
    Runs that don't fit the image are a fault.
    """
    table = annotation.files[0] if annotation.files else ""
    boxes: list[LabelledBox] = []
    whole: Mask = np.zeros((height, width), np.bool_)
    for label, runs in sorted(json.loads(annotation.content).items()):
        with faults.at(table, place=label):
            mask = mask_of_runs(runs, width, height)
            boxes += truth_of_mask(mask, label).boxes
            whole |= mask
    return Truth(tuple(boxes), whole)
