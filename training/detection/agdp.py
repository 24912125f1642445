"""AGDP, detector pretraining: its images out of the tables of pseudo-boxes, painted defects and labels."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cluster.storage import Storage
from pipelines.images import Levels
from training.detection.data import Sample
from training.detection.finetune import Regions, labelled_samples

CLASSES = ("anomaly",)


def pseudo_samples(
    rows: Iterable[Mapping[str, Any]],
    left_out: frozenset[str],
    levels: Mapping[str, Levels] | None = None,
    *,
    weighted: bool = False,
) -> list[Sample]:
    """Rows of the boxes table as images of one class.

    Args:
        rows: the table's rows; those with `ignored` have regions that are hidden.
        left_out: ids of images to drop (the test split).
        levels: black and white by id, of the images that don't take their own.
        weighted: give each box its score over the mean score of all boxes as its weight.
    """
    used_rows = [row for row in rows if row["image_id"] not in left_out]
    scores = [box["score"] for row in used_rows for box in row["boxes"]]
    mean = float(np.mean(scores)) if scores else 1.0
    samples = []
    known = levels or {}
    for row in used_rows:
        weights = np.array([box["score"] / mean for box in row["boxes"]], dtype=np.float32)
        scaled = {**row, "levels": known.get(row["image_id"])}
        labels = [0] * len(row["boxes"])
        ignored = row.get("ignored", ())
        no_class = [-1] * len(ignored)
        samples.append(
            Sample.of(scaled, row["boxes"], labels, weights if weighted else None, ignored, no_class)
        )
    return samples


def painted_rows(rows: Iterable[Mapping[str, Any]], directory: Storage) -> list[dict[str, Any]]:
    """Rows of the table of painted defects, each with the file that shows its boxes as `uri`.

    Args:
        rows: the table's rows.
        directory: the paint stage's directory.
    """
    return [
        {**row, "uri": row["uri"] if row["painted"] is None else directory.uri_of(row["painted"])}
        for row in rows
    ]


def ignoring_boxes(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the boxes table whose boxes are regions to hide instead of objects to learn."""
    return [{**row, "boxes": [], "ignored": row["boxes"]} for row in rows]


def with_painted(
    rows: Iterable[Mapping[str, Any]], painted: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of the boxes table where painted images stand for their originals: the boxes of both are objects.

    Args:
        rows: rows of the boxes table.
        painted: rows of `painted_rows`; those of other images are left out.
    """
    by_id = {row["image_id"]: row for row in painted}
    merged = []
    for row in rows:
        other = by_id.get(row["image_id"])
        if other is None:
            merged.append(dict(row))
        else:
            merged.append({**row, "uri": other["uri"], "boxes": [*row["boxes"], *other["boxes"]]})
    return merged


def labelled_as_one(
    rows: Iterable[Mapping[str, Any]], labels: Mapping[str, Sequence[Mapping[str, Any]]], ignored: Regions
) -> list[Sample]:
    """Labelled images whose objects are all of one class; those that show ignored regions alone are left out.

    Args:
        rows: rows of the manifest; those without labels are left out.
        labels: image_id → its labelled boxes.
        ignored: image_id → its regions with defects that are no objects.
    """
    (name,) = CLASSES
    boxes = {key: _renamed(each, name) for key, each in labels.items()}
    regions = {key: _renamed(each, name) for key, each in ignored.items()}
    samples = labelled_samples(rows, boxes, CLASSES, regions)
    return [sample for sample in samples if len(sample.labels) or not len(sample.ignored)]


def _renamed(boxes: Iterable[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    return [{**box, "label": name} for box in boxes]
