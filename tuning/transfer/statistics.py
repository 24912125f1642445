"""Figures of a transfer study's curves: last scores, iterations to a score, differences of paired runs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

Curve = Sequence[tuple[int, float]]  # iteration, score; iterations rise

ALPHA = 0.05


@dataclass(frozen=True)
class Spread:
    """Mean over seeds, and their standard deviation (n − 1; None for a single seed)."""

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Paired:
    """One start against another over the same seeds.

    Attributes:
        difference: mean of the first's last scores minus the second's.
        p: two-sided p of the paired t test; None with fewer than two seeds or differences all alike.
        seeds: number of pairs.
    """

    difference: float
    p: float | None
    seeds: int

    @property
    def certain(self) -> bool:
        """Whether chance would rarely give such a difference."""
        return self.p is not None and self.p < ALPHA


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and deviation of the values that are no NaN; None where there is none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def iterations_to(curve: Curve, score: float) -> float | None:
    """The iteration at which a curve first reaches a score, interpolated between two measurements.

    Args:
        curve: measured iterations and scores.
        score: score to reach.

    Returns:
        None where it never does.
    """
    before: tuple[int, float] | None = None
    for step, value in curve:
        if value >= score:
            if before is None or value == before[1]:
                return float(step)
            share = (score - before[1]) / (value - before[1])
            return before[0] + share * (step - before[0])
        before = (step, value)
    return None


def paired(one: Mapping[int, float], other: Mapping[int, float]) -> Paired | None:
    """The paired t test over the seeds that both have; None where there is none.

    Args:
        one, other: last scores by seed.
    """
    seeds = sorted(set(one) & set(other))
    differences = [one[seed] - other[seed] for seed in seeds]
    if not differences or any(math.isnan(value) for value in differences):
        return None
    p = None
    if len(differences) > 1 and statistics.stdev(differences) > 0:
        p = float(stats.ttest_rel([one[seed] for seed in seeds], [other[seed] for seed in seeds]).pvalue)
    return Paired(statistics.fmean(differences), p, len(seeds))
