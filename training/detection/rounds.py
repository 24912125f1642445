"""The boxes of a further round: what a pretrained detector finds corrects the boxes that it learnt from."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import box_iou

from pipelines.tables import box_array

# Without agreement one detection is learnt for so many pseudo-boxes of its category. On magnetic tiles these
# met twice the defects that the pseudo-boxes met, with an eighth of the false ones.
PSEUDO_BOXES_EACH = 5
AGREE = (
    0.3  # least IoU of a detection and a pseudo-box that tell of one defect; the maps' outlines are coarse
)

Row = Mapping[str, Any]
Boxes = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Correction:
    """Rows of the boxes table for the next round.

    Attributes:
        rows: the pseudo-boxes' rows with the boxes to learn, and in `ignored` the regions to hide.
        learnt, hidden: numbers of both.
    """

    rows: list[dict[str, Any]]
    learnt: int
    hidden: int


def corrected(pseudo: Iterable[Row], proposals: Mapping[str, Boxes], *, agreeing: bool) -> Correction:
    """The boxes of the next round.

    Learnt are either the detections that a pseudo-box overlaps by `AGREE`, or the surest detections: in each
    category one for `PSEUDO_BOXES_EACH` pseudo-boxes, rounded up. Detections that are not learnt are
    hidden, and so are pseudo-boxes that no learnt box overlaps by `AGREE`: both may be defects.

    Args:
        pseudo: rows of the boxes table.
        proposals: image_id → the detections of `FLOOR` or more, with scores.
        agreeing: take the detections that the maps agree with, not the surest.
    """
    rows = list(pseudo)
    least = {} if agreeing else _least_scores(rows, proposals)
    next_rows = []
    for row in rows:
        detections, boxes = proposals.get(row["image_id"], ()), row["boxes"]
        if agreeing:
            kept = overlaps(detections, boxes, AGREE)
        else:
            bound = least.get(row["category"], math.inf)
            kept = np.array([box["score"] >= bound for box in detections], np.bool_)
        learnt = [box for box, one in zip(detections, kept, strict=True) if one]
        doubtful = [box for box, one in zip(detections, kept, strict=True) if not one]
        met = overlaps(boxes, learnt, AGREE)
        doubtful += [box for box, one in zip(boxes, met, strict=True) if not one]
        next_rows.append({**row, "boxes": learnt, "ignored": doubtful})
    counts = (sum(len(row[key]) for row in next_rows) for key in ("boxes", "ignored"))
    return Correction(next_rows, *counts)


def _least_scores(rows: Sequence[Row], proposals: Mapping[str, Boxes]) -> dict[str, float]:
    """Category → score of its last detection that is learnt; equal scores are taken alike."""
    wanted: Counter[str] = Counter()
    scores: dict[str, list[float]] = {}
    for row in rows:
        wanted[row["category"]] += len(row["boxes"])
        found = [box["score"] for box in proposals.get(row["image_id"], ())]
        scores.setdefault(row["category"], []).extend(found)
    least = {}
    for category, found in scores.items():
        best = sorted(found, reverse=True)[: -(-wanted[category] // PSEUDO_BOXES_EACH)]
        if best:
            least[category] = best[-1]
    return least


def clear_of_painted(rows: Iterable[Row], painted: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows without boxes that a painted defect of the same image touches: there it hides the real one."""
    drawn = {row["image_id"]: row["boxes"] for row in painted}
    clear = []
    for row in rows:
        touched = overlaps(row["boxes"], drawn.get(row["image_id"], ()), 1e-9)
        kept = [box for box, one in zip(row["boxes"], touched, strict=True) if not one]
        clear.append({**row, "boxes": kept})
    return clear


def overlaps(boxes: Boxes, others: Boxes, least: float) -> npt.NDArray[np.bool_]:
    """(N,) whether each box overlaps one of the others by an IoU of `least` or more."""
    if not boxes or not others:
        return np.zeros(len(boxes), np.bool_)
    ious = box_iou(torch.from_numpy(box_array(boxes)), torch.from_numpy(box_array(others)))
    met: npt.NDArray[np.bool_] = (ious >= least).any(1).numpy()
    return met
