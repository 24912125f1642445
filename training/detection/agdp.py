"""AGDP, detector pretraining on pseudo-boxes: its images out of the boxes table."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pipelines.images import Levels
from training.detection.data import Sample

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
        rows: the table's rows.
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
        samples.append(Sample.of(scaled, row["boxes"], labels, weights if weighted else None))
    return samples
