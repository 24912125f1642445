"""Recall, false calls and paired differences with 95 % intervals. Plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from cluster.verdicts import drawn_counts, interval
from pipelines.boxes import matched
from training.certificate.section import SizeOf
from training.metrics import Detections

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
BINS, LEAST_IN_BIN = 5, 10


@dataclass(frozen=True)
class Judged:
    """One image's detections held against its truth; classes are not asked for.

    Attributes:
        found: (N,) which of its defects a box finds.
        scores: (N,) score of that box; NaN where none does.
        false_calls: boxes that find none, outside regions that aren't counted.
        visible: (N,) defects that count; others are cut by a tilt.
    """

    found: Bools
    scores: Floats
    false_calls: int
    visible: Bools

    @property
    def hits(self) -> int:
        """Defects that count and were found."""
        return int((self.found & self.visible).sum())


def judge(
    detected: Detections, boxes: Floats, regions: Floats, iou: float, visible: Bools | None = None
) -> Judged:
    """Match one image's detections with its defects, best first, each met once.

    Args:
        detected: boxes, best first.
        boxes: (N, 4) of the defects.
        regions: (M, 4) in which boxes are neither right nor wrong.
        iou: least overlap.
        visible: see `Judged`; None counts all. What finds another is no false call either.
    """
    order = np.argsort(-detected.scores, kind="stable")
    matches = matched(detected.boxes[order], boxes, regions, [iou])
    met, ignored = matches.met[0], matches.ignored[0]
    found, scores = np.zeros(len(boxes), np.bool_), np.full(len(boxes), np.nan)
    right = met >= 0
    found[met[right]] = True
    scores[met[right]] = detected.scores[order][right]
    count = int((~right & ~ignored).sum())
    return Judged(found, scores, count, np.ones(len(boxes), np.bool_) if visible is None else visible)


def size_of(boxes: Floats, size: SizeOf) -> Floats:
    """Sizes of boxes (N, 4), pixels."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides.max(axis=1) if size == "longer_side" else np.sqrt(sides.prod(axis=1)))


def share(part: int, whole: int) -> dict[str, Any]:
    """A share with its exact 95 % interval (Clopper and Pearson); None of nothing."""
    if not whole:
        return {"count": part, "of": whole, "share": None, "low": None, "high": None}
    ends = binomtest(part, whole).proportion_ci(0.95, method="exact")
    return {
        "count": part,
        "of": whole,
        "share": part / whole,
        "low": float(ends.low),
        "high": float(ends.high),
    }


def recall_by_size(sizes: Floats, found: Bools) -> list[dict[str, Any]]:
    """Recall in up to five bins of equal numbers of defects, smallest first; none below ten defects each.

    Returns:
        `least` and `most` of the sizes, and `share`'s figures.
    """
    bins = min(BINS, len(sizes) // LEAST_IN_BIN)
    rows = []
    for part in np.array_split(np.argsort(sizes, kind="stable"), bins) if bins else ():
        about = {"least": float(sizes[part].min()), "most": float(sizes[part].max())}
        rows.append({**about, **share(int(found[part].sum()), len(part))})
    return rows


def false_calls(judged: Sequence[Judged], seed: int) -> dict[str, Any]:
    """Mean false calls in an image, with its interval by drawing images anew, and how many images have any.

    Where all images have as many, drawing them anew would give an interval of no width: it is then that of
    the share of images that may have one more or fewer (Clopper and Pearson). Of too few there is none.
    """
    counts = np.array([one.false_calls for one in judged], np.int64)
    with_any = share(int((counts > 0).sum()), len(counts))
    if not len(counts):
        return {"images": 0, "mean": None, "low": None, "high": None, "images_with_any": with_any}
    drawn = drawn_counts(len(counts), seed=seed) @ counts / len(counts)
    ends, mean = interval(drawn, len(counts)), float(counts.mean())
    if (counts == counts[0]).all():
        most = share(0, len(counts))["high"]
        ends = max(0.0, mean - most), mean + most
    low, high = (None, None) if ends is None else ends
    return {
        "images": len(counts),
        "mean": mean,
        "low": low,
        "high": high,
        "images_with_any": with_any,
    }


def differences(plain: Sequence[Judged], changed: Sequence[Judged], seed: int) -> dict[str, Any]:
    """Recall and false calls of changed images against the same ones unchanged, paired by image.

    Args:
        plain, changed: one an image, in the same order; defects that a change hides count on neither side.
        seed: seed of the images that are drawn anew.

    Returns:
        `recall` and `false_calls`: the changed figure, the difference, its 95 % interval (None where no
        defect is left, or of too few images). Where no image differs, drawing them anew would give an
        interval of no width: it is then that of the share of images that do (Clopper and Pearson), each by 1.
    """
    # (images, 5): defects that count, hits before and after, false calls before and after.
    rows = np.array(
        [
            [
                one.visible.sum(),
                (before.found & one.visible).sum(),
                one.hits,
                before.false_calls,
                one.false_calls,
            ]
            for before, one in zip(plain, changed, strict=True)
        ],
        np.float64,
    ).reshape(-1, 5)
    whole = rows.sum(0)
    drawn = drawn_counts(len(rows), seed=seed) @ rows
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = (drawn[:, 2] - drawn[:, 1]) / drawn[:, 0]
    defects = int(whole[0])
    return {
        "images": len(rows),
        "defects": defects,
        "recall": _difference(
            whole[2] / defects if defects else None,
            (whole[2] - whole[1]) / defects if defects else None,
            recall,
            unlike=rows[rows[:, 0] > 0][:, 1:3],
        ),
        "false_calls": _difference(
            whole[4] / len(rows),
            (whole[4] - whole[3]) / len(rows),
            (drawn[:, 4] - drawn[:, 3]) / len(rows),
            unlike=rows[:, 3:5],
        ),
    }


def _difference(
    value: float | None, difference: float | None, drawn: Floats, *, unlike: Floats
) -> dict[str, float | None]:
    """One figure's row; `unlike` is (images, 2), the figure's counts before and after."""
    ends = None if difference is None else interval(drawn, len(unlike))
    if difference is not None and (unlike[:, 0] == unlike[:, 1]).all():
        most = share(0, len(unlike))["high"]
        ends = (-most, most)
    low, high = (None, None) if ends is None else ends
    return {
        "value": None if value is None else float(value),
        "difference": None if difference is None else float(difference),
        "low": low,
        "high": high,
    }
