"""Truth and stored predictions of the test images, as the metrics take them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.stages import Artifact
from pipelines.tables import LabelRow, box_array
from training.metrics import Detections, TrueObjects, true_objects

PREDICTIONS_FILE = "predictions.parquet"


def predicted(artifact: Artifact) -> dict[str, list[dict[str, Any]]]:
    """The boxes that an evaluation stored, by image id."""
    rows = artifact.directory.read_table(PREDICTIONS_FILE, columns=["image_id", "boxes"]).to_pylist()
    return {row["image_id"]: row["boxes"] for row in rows}


def class_numbers(labels: Mapping[str, LabelRow], images: Sequence[str]) -> dict[str, int]:
    """A number for each class that the truth of these images names."""
    names = {box["label"] for image in images for box in (*labels[image]["boxes"], *labels[image]["ignored"])}
    return {name: number for number, name in enumerate(sorted(names))}


def truth(label: LabelRow, numbers: Mapping[str, int]) -> TrueObjects:
    """An image's objects and ignored regions."""
    objects, ignored = label["boxes"], label["ignored"]
    return true_objects(
        box_array(objects), _labels(objects, numbers), box_array(ignored), _labels(ignored, numbers)
    )


def detections(boxes: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> Detections:
    """The boxes of classes that the truth has; others measure nothing."""
    known = [box for box in boxes if box["label"] in numbers]
    return Detections(
        box_array(known),
        np.array([box["score"] for box in known], np.float64),
        _labels(known, numbers),
    )


def _labels(boxes: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> npt.NDArray[np.int64]:
    return np.array([numbers[box["label"]] for box in boxes], np.int64)
