"""How sure the best start's lead over training from scratch is, from the stored predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cluster.stages import Artifact
from cluster.verdicts import StartFigures, best_start, compare_starts
from pipelines.tables import CorpusTables
from training.metrics import MatchedDetections, difference_interval
from training.report.judged_images import class_numbers, detections, predicted, truth

BASELINE = "scratch"


def lead_interval(
    starts: Sequence[StartFigures], evaluated: Mapping[str, Artifact], labelled: Artifact
) -> tuple[float, float] | None:
    """The 95 % interval of (best other start - scratch) by mAP@0.5:0.95; None where one of them is missing,
    or the images with objects are too few.

    Args:
        starts: the figures.
        evaluated: artifacts of the evaluations, by start.
        labelled: the artifact with the labels.
    """
    best = best_start(starts, BASELINE)
    if best is None or BASELINE not in evaluated:
        return None
    labels = CorpusTables(labelled.directory).labels()
    first, second = (predicted(evaluated[name]) for name in (best.name, BASELINE))
    if first.keys() != second.keys():
        raise ValueError(f"{best.name} and {BASELINE} were evaluated on different images")
    images = sorted(first)
    numbers = class_numbers(labels, images)
    truths = [truth(labels[image], numbers) for image in images]
    ours, theirs = (
        MatchedDetections.of(truths, [detections(rows[image], numbers) for image in images], len(numbers))
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
