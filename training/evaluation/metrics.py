"""All figures of a detector on labelled images, and the tables they are kept in."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from training.detection import Sample
from training.metrics import (
    BACKGROUND,
    AveragePrecision,
    ClassPrecision,
    Detections,
    Matrix,
    Scores,
    average_precision,
    confusion_matrix,
    true_objects,
)
from training.prediction import ImagePrediction

FIGURES = ("map50", "map75", "map50_95", "small", "medium", "large", "recall")

CLASS_AP = pa.schema(
    [("name", pa.string()), ("boxes", pa.int64()), *((name, pa.float64()) for name in FIGURES)]
)
CURVES = pa.schema(
    [
        ("name", pa.string()),
        ("recall", pa.float64()),
        ("precision", pa.float64()),
        ("score", pa.float64()),
    ]
)
CONFUSION = pa.schema([("truth", pa.string()), ("found", pa.string()), ("count", pa.int64())])


@dataclass(frozen=True)
class DetectorMetrics:
    """How well a detector did.

    Attributes:
        classes: names in label order.
        precision: COCO's figures, over all and by class.
        confusion: see `confusion_matrix`.
    """

    classes: tuple[str, ...]
    precision: AveragePrecision
    confusion: Matrix

    def figures(self) -> dict[str, float | None]:
        """The means by name, None where there is nothing to measure (no large box, say)."""
        return _figures(self.precision)

    def by_class(self) -> dict[str, dict[str, Any] | None]:
        """The figures and true boxes of each class; None for one without a box."""
        return {row.name: _class_row(row) if row.boxes else None for row in self.precision.classes}

    def tables(self) -> Mapping[str, pa.Table]:
        """`classes`, `curves` (precision and score at 101 recalls, IoU 0.5), `confusion` (cells above 0)."""
        rows = [_class_row(row) for row in self.precision.classes]
        points = [
            {"name": row.name, "recall": step / 100, "precision": float(precision), "score": float(score)}
            for row in self.precision.classes
            if row.boxes
            for step, (precision, score) in enumerate(zip(row.precision, row.threshold, strict=True))
        ]
        names = (*self.classes, BACKGROUND)
        cells = [
            {"truth": names[truth], "found": names[found], "count": int(self.confusion[truth, found])}
            for truth, found in zip(*self.confusion.nonzero(), strict=True)
        ]
        return {
            "classes": pa.Table.from_pylist(rows, schema=CLASS_AP),
            "curves": pa.Table.from_pylist(points, schema=CURVES),
            "confusion": pa.Table.from_pylist(cells, schema=CONFUSION),
        }


def measure(
    samples: Sequence[Sample],
    predictions: Sequence[ImagePrediction],
    classes: Sequence[str],
    *,
    min_score: float,
) -> DetectorMetrics:
    """Compare predictions with labelled images, in pixels of the originals.

    Args:
        samples: the truth, with at least one box; `classes` has those of the ignored regions too.
        predictions: one per sample, in any order.
        classes: names in label order.
        min_score: score that detections in the confusion matrix exceed.
    """
    by_id = {result.image_id: result for result in predictions}
    ordered = [by_id[sample.image_id] for sample in samples]
    truths = [
        true_objects(sample.boxes, sample.labels, sample.ignored, sample.ignored_labels) for sample in samples
    ]
    detections = [Detections(result.boxes, result.scores, result.labels) for result in ordered]
    return DetectorMetrics(
        classes=tuple(classes),
        precision=average_precision(truths, detections, classes),
        confusion=confusion_matrix(truths, detections, len(classes), min_score=min_score),
    )


def _figures(scores: Scores) -> dict[str, float | None]:
    return {name: None if math.isnan(value := float(getattr(scores, name))) else value for name in FIGURES}


def _class_row(row: ClassPrecision) -> dict[str, Any]:
    return {"name": row.name, "boxes": row.boxes, **_figures(row)}
