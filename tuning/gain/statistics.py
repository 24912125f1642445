"""Paired differences over seeds: their interval, an exact test, and how many seeds would tell."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
ROUNDING = 1e-9  # differences closer than this are alike
MOST_SEEDS = 1000  # above which no number of seeds is told


@dataclass(frozen=True)
class PairedGain:
    """What pretraining adds, seed by seed.

    Attributes:
        differences: figure with pretraining minus the one without, by seed.
    """

    differences: Mapping[int, float]

    @property
    def values(self) -> list[float]:
        """The differences in the order of the seeds."""
        return [self.differences[seed] for seed in sorted(self.differences)]

    @property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.values)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean by Student's t; None with a single seed.

        None of seeds all alike, too: their deviation is 0, and the interval would have no width.
        """
        if len(self.values) < 2 or max(self.values) - min(self.values) <= ROUNDING:
            return None
        count = len(self.values)
        reach = _quantile(count) * statistics.stdev(self.values) / math.sqrt(count)
        return self.mean - reach, self.mean + reach

    @property
    def p(self) -> float | None:
        """Two-sided p of the exact permutation test: every sign of every difference; None with one seed.

        With n seeds it can't be below 2 / 2ⁿ.
        """
        if len(self.values) < 2:
            return None
        test = stats.permutation_test(
            (np.array(self.values),),
            lambda each, axis: np.mean(each, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=np.inf,
            batch=1 << 12,
        )
        return float(test.pvalue)

    @property
    def ahead(self) -> int:
        """In how many seeds pretraining is ahead."""
        return sum(value > 0 for value in self.values)

    @property
    def verdict(self) -> str:
        """`gain`, `loss`, `level` (the interval includes 0) or, without one, `one` (seed) or `alike`."""
        if self.interval is None:
            return "one" if len(self.values) < 2 else "alike"
        low, high = self.interval
        return "gain" if low > 0 else "loss" if high < 0 else "level"

    @property
    def seeds_needed(self) -> int | None:
        """Seeds with which the interval would leave out 0, were mean and deviation as here; None unknown."""
        if self.interval is None or self.mean == 0:
            return None
        ratio = statistics.stdev(self.values) / abs(self.mean)
        for count in range(2, MOST_SEEDS + 1):
            if _quantile(count) * ratio < math.sqrt(count):
                return count
        return None


def _quantile(count: int) -> float:
    """Student's t of the interval of so many differences."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))


def paired_gain(pretrained: Mapping[int, float], alone: Mapping[int, float]) -> PairedGain | None:
    """The gain over the seeds that both have; None where they share none.

    Args:
        pretrained, alone: figures by seed.
    """
    seeds = sorted(set(pretrained) & set(alone))
    if not seeds:
        return None
    return PairedGain({seed: pretrained[seed] - alone[seed] for seed in seeds})
