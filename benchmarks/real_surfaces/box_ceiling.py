"""How good pseudo-boxes could be with these maps: the best of many thresholds, chosen by the labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

import numpy as np

from benchmarks.real_surfaces.box_quality import Box, BoxQuality, box_quality
from cluster.stages import Artifact
from pipelines.boxes import PseudoBoxSettings, category_threshold
from pipelines.boxes.pseudo_boxes import pseudo_boxes
from pipelines.maps import map_grids

CONSTANTS = (0.0, 0.1, 0.2, 0.3, 0.5)  # C of Eq. 9
NORMAL_SHARES = (0.0, 0.6, 0.8)  # of images, those with the lowest scores, that get no box
LEAST_RECALL = 0.05  # a single good box is no pseudo-label


def ceiling(maps: Artifact, truth: Mapping[str, Sequence[Box]], iou: float) -> BoxQuality:
    """The most precise boxes of all C and δ that still meet a twentieth of the defects.

    Args:
        maps: the maps stage's artifact.
        truth: labelled boxes by image; its images alone are looked at, those of one category.
        iou: the least IoU at which a box meets a defect.
    """
    tried = [box_quality(boxes, truth, iou) for boxes in _every(maps, truth)]
    usable = [quality for quality in tried if quality.recall >= LEAST_RECALL]
    return max(usable, key=lambda quality: (quality.precision, quality.recall), default=tried[0])


def _every(maps: Artifact, truth: Mapping[str, Sequence[Box]]) -> Iterator[dict[str, list[dict[str, Any]]]]:
    rows = maps.directory.read_table("maps")
    grids = map_grids(rows)
    images = [
        (row, grid)
        for row, grid in zip(rows.drop(["map"]).to_pylist(), grids, strict=True)
        if row["image_id"] in truth
    ]
    peaks, scores = [float(grid.max()) for _, grid in images], [row["score"] for row, _ in images]
    for c, share in product(CONSTANTS, NORMAL_SHARES):
        settings = PseudoBoxSettings(c=c, delta=float(np.quantile(scores, share)))
        threshold = category_threshold("", peaks, scores, settings)
        yield {
            row["image_id"]: [
                asdict(box)
                for box in pseudo_boxes(
                    grid,
                    row["score"],
                    width=row["width"],
                    height=row["height"],
                    threshold=threshold,
                    settings=settings,
                )
            ]
            for row, grid in images
        }
