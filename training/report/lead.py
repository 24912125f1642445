"""How sure the best start's lead over training from scratch is, from the stored predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.stages import Artifact
from cluster.verdicts import StartFigures, best_start, compare_starts
from pipelines.tables import CorpusTables, LabelRow, box_array
from training.metrics import Detections, MatchedDetections, TrueObjects, difference_interval, true_objects

BASELINE = "scratch"
PREDICTIONS_FILE = "predictions.parquet"


def lead_interval(
    starts: Sequence[StartFigures], evaluated: Mapping[str, Artifact], labelled: Artifact
) -> tuple[float, float] | None:
    """The 95 % interval of (best other start - scratch) by mAP@0.5:0.95; None where one of them is missing.

    Args:
        starts: the figures.
        evaluated: artifacts of the evaluations, by start.
        labelled: the artifact with the labels.
    """
    best = best_start(starts, BASELINE)
    if best is None or BASELINE not in evaluated:
        return None
    labels = CorpusTables(labelled.directory).labels()
    first, second = (_predicted(evaluated[name]) for name in (best.name, BASELINE))
    if first.keys() != second.keys():
        raise ValueError(f"{best.name} and {BASELINE} were evaluated on different images")
    images = sorted(first)
    names = {box["label"] for image in images for box in (*labels[image]["boxes"], *labels[image]["ignored"])}
    numbers = {name: number for number, name in enumerate(sorted(names))}
    truths = [_truth(labels[image], numbers) for image in images]
    ours, theirs = (
        MatchedDetections.of(truths, [_detections(rows[image], numbers) for image in images], len(numbers))
        for rows in (first, second)
    )
    return difference_interval(ours, theirs, len(images))


def compared_starts(evaluated: Mapping[str, Artifact], labelled: Artifact) -> dict[str, Any]:
    """What may be said of evaluated starts: `verdict`, `sentence` and `interval` as in the report's headline.

    Args:
        evaluated: artifacts of the evaluations by start, at least one.
        labelled: the artifact with the labels.
    """
    results = {start: artifact.results for start, artifact in evaluated.items()}
    figures = [StartFigures(start, row["map50_95"], row["map50"]) for start, row in results.items()]
    interval = lead_interval(figures, evaluated, labelled)
    boxes = next(iter(results.values()))["boxes"]
    return asdict(compare_starts(figures, baseline=BASELINE, boxes=boxes, interval=interval)) | {
        "interval": interval
    }


def _predicted(artifact: Artifact) -> dict[str, list[dict[str, Any]]]:
    rows = artifact.directory.read_table(PREDICTIONS_FILE, columns=["image_id", "boxes"]).to_pylist()
    return {row["image_id"]: row["boxes"] for row in rows}


def _truth(label: LabelRow, numbers: Mapping[str, int]) -> TrueObjects:
    objects, ignored = label["boxes"], label["ignored"]
    return true_objects(
        box_array(objects), _labels(objects, numbers), box_array(ignored), _labels(ignored, numbers)
    )


def _labels(boxes: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> npt.NDArray[np.int64]:
    return np.array([numbers[box["label"]] for box in boxes], np.int64)


def _detections(boxes: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> Detections:
    """The boxes of classes that the truth has; others measure nothing."""
    known = [box for box in boxes if box["label"] in numbers]
    return Detections(
        box_array(known),
        np.array([box["score"] for box in known], np.float64),
        _labels(known, numbers),
    )
