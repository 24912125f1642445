"""Differences of paired runs: the same seeds from two starts or settings."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from scipy import stats

ALPHA = 0.05
ROUNDING = 1e-9  # differences closer than this are alike: 0.3 - 0.2 and 0.4 - 0.3 are not quite


@dataclass(frozen=True)
class Paired:
    """One start against another over the same seeds.

    Attributes:
        difference: mean of the first's figures minus the second's.
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


def paired(one: Mapping[int, float], other: Mapping[int, float]) -> Paired | None:
    """The paired t test over the seeds that both have; None where there is none.

    Args:
        one, other: figures by seed.
    """
    seeds = sorted(set(one) & set(other))
    differences = [one[seed] - other[seed] for seed in seeds]
    if not differences or any(math.isnan(value) for value in differences):
        return None
    p = None
    # SciPy would take the rounding for the deviation of the seeds, and be certain of two alike.
    if len(differences) > 1 and max(differences) - min(differences) > ROUNDING:
        p = float(stats.ttest_rel([one[seed] for seed in seeds], [other[seed] for seed in seeds]).pvalue)
    return Paired(statistics.fmean(differences), p, len(seeds))
