"""Whether settings gain beyond chance: the interval of a difference in the metric, by drawing images anew."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cluster.verdicts import FEWEST_DRAWN
from tuning.thresholds.component_table import Bools, ComponentTable, Floats, Ints
from tuning.thresholds.judged_maps import Judged
from tuning.thresholds.metrics import (
    BOX_AP,
    MASK_IOU,
    PLAUSIBILITY,
    PLAUSIBLE_COVERAGE,
    RECALLS,
    counted,
    matched,
)

DRAWS = 500  # sets of images
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Selection:
    """Which components of some images are selected.

    Attributes:
        table: components at the threshold.
        selected: (N,) which of them become boxes.
        judged: the images.
        above, below: components just above and just below the threshold; None where no metric needs them.
    """

    table: ComponentTable
    selected: Bools
    judged: Judged
    above: ComponentTable | None = None
    below: ComponentTable | None = None

    def drawn(self, metric: str, counts: Ints) -> Floats:
        """(D,) the metric of D sets of images; NaN where a set has no truth.

        Args:
            metric: name of the metric, as `search` takes it.
            counts: (D, n) times each image is in each set.
        """
        if metric == MASK_IOU:
            truth = np.array([len(pixels) for pixels in self.judged.pixels])
            inside, area = (counts @ self._sums(values) for values in (self.table.hits, self.table.area))
            defective = counts @ truth
            return _ratio(inside, area + defective - inside, defective)
        if metric == PLAUSIBILITY:
            return self._plausibility(counts)
        truth = np.array([len(boxes) for boxes in self.judged.boxes])
        hits = matched(self.table, self.selected)
        judged_by = counted(self.table, self.selected, hits)
        total = counts @ truth
        if metric == BOX_AP:
            order = np.flatnonzero(judged_by)
            order = order[np.argsort(-self.table.peak[order], kind="stable")]
            images, correct = self.table.image[order], hits[order]
            return np.array(
                [_precision(row, images, correct, int(n)) for row, n in zip(counts, total, strict=True)]
            )
        right, every = (counts @ self._sums(kept.astype(np.int64), kept) for kept in (hits, judged_by))
        return _ratio(2 * right, every + total, total)

    def _sums(self, values: Ints, kept: Bools | None = None) -> Floats:
        """(n,) sums over each image's selected components."""
        chosen = self.selected if kept is None else kept
        sums = np.bincount(self.table.image[chosen], values[chosen], len(self.judged))
        return np.asarray(sums, np.float64)

    def _plausibility(self, counts: Ints) -> Floats:
        assert self.above is not None
        assert self.below is not None
        above, below = (
            counts @ np.bincount(table.image, table.area, len(self.judged))
            for table in (self.above, self.below)
        )
        pixels = counts @ self.judged.sizes.prod(1)
        covered = counts @ self._sums(self.table.area)
        boxed = self._sums(np.ones(len(self.table.area), np.int64)) > 0
        normal = counts @ self.judged.normal
        dirty = counts @ (boxed & self.judged.normal)
        stability = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
        clean = 1 - np.divide(dirty, normal, out=np.zeros(len(counts)), where=normal > 0)
        coverage = np.divide(covered, pixels, out=np.zeros_like(covered), where=pixels > 0)
        share = np.divide(PLAUSIBLE_COVERAGE, coverage, out=np.zeros_like(coverage), where=coverage > 0)
        return np.asarray(stability * clean * np.minimum(1.0, share), np.float64)


def gain_interval(
    metric: str, after: Mapping[str, Selection], before: Mapping[str, Selection], *, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % interval of after - before, by the paired percentile bootstrap over each category's images.

    Both are measured on the same drawn images (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13); the metric is the mean over categories. Sets without any truth are left out.

    Args:
        metric: name of the metric.
        after, before: selections by category, of the same images.
        seed: seed of the draws.

    Returns:
        None where no set has truth, or the images that can be drawn anew are too few for an interval.
    """
    rng = np.random.default_rng(seed)
    columns, varied = [], 0
    for category, selection in after.items():
        images = len(selection.judged)
        telling = images if metric == PLAUSIBILITY else selection.judged.with_truth
        varied += telling if telling > 1 else 0  # one image alone is the same in every set
        counts = rng.multinomial(images, np.full(images, 1 / images), DRAWS).astype(np.int64)
        columns.append(selection.drawn(metric, counts) - before[category].drawn(metric, counts))
    if varied < FEWEST_DRAWN:
        return None
    known = [column for column in np.array(columns).reshape(len(columns), -1).T if not np.isnan(column).all()]
    if not known:
        return None
    low, high = np.percentile([np.nanmean(row) for row in known], PERCENTILES)
    return float(low), float(high)


def _ratio(upper: Floats, lower: Floats, truth: Ints) -> Floats:
    return np.where(truth > 0, upper / np.maximum(lower, 1), np.nan)


def _precision(counts: Ints, images: Ints, right: Bools, truth: int) -> float:
    """COCO's AP where each image counts so many times; detections stand best first."""
    if not truth:
        return float("nan")
    weights = counts[images]
    hits, every = np.cumsum(right * weights), np.cumsum(weights)
    envelope = np.maximum.accumulate((hits / np.maximum(every, 1))[::-1])[::-1]
    places = np.searchsorted(hits / truth, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())
