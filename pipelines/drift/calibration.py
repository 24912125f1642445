"""How often the check would alarm where nothing changed: random parts of the corpus against the rest.

One threshold for the smallest p of all measures holds the alarms of all of them together (Westfall and Young,
Resampling-Based Multiple Testing, 1993): measures that move together cost nothing, as a correction by their
number would.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from cluster.progress import progress
from pipelines.drift.comparison import Energies, Floats, Sample, Tested, compare_measures, least_p
from pipelines.drift.measures import EMBEDDING

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Calibration:
    """What random parts of the corpus tell.

    Attributes:
        new, old: images in a part, and in the rest.
        threshold: an alarm is a smallest p below it.
        chosen_by: splits that the threshold was chosen by.
        splits: other splits, on which false alarms were counted.
        alarms: of these, how many alarmed.
        low, high: 95 % interval of their share (Clopper and Pearson).
        by_chance: name → the statistic that `1 - false_alarms` of all splits stay below.
    """

    new: int
    old: int
    threshold: float
    chosen_by: int
    splits: int
    alarms: int
    low: float
    high: float
    by_chance: Mapping[str, float]

    @property
    def share(self) -> float:
        """Share of false alarms, 0–1."""
        return self.alarms / self.splits


def calibrate(
    corpus: Sample, new: int, *, splits: int, false_alarms: float, rng: np.random.Generator
) -> Calibration:
    """Choose the threshold, and count the false alarms on other splits.

    The threshold is the k-th smallest of C splits' smallest p, k the whole part of `false_alarms · (C + 1)`:
    where new images are drawn as the corpus was, no more than that share alarms, on average over corpora.

    Args:
        corpus: independent images of the corpus.
        new: images in a part, at most half of them.
        splits: number of splits, half of them to choose by.
        false_alarms: share of alarms that is accepted, at least `1 / (splits // 2 + 1)`.
        rng: draws the splits.
    """
    every = len(corpus)
    energies = Energies(corpus.embeddings)
    null = np.sort(energies.null(new, rng))
    smallest = np.empty(splits)
    statistics: dict[str, Floats] = {}
    with progress("drift: splits of the corpus", splits) as bar:
        for split in range(splits):
            order = rng.permutation(every).astype(np.int64)
            part, rest = order[:new], order[new:]
            tested = compare_measures(corpus.take(part), corpus.take(rest))
            tested[EMBEDDING] = _by_null(float(energies.of(part[None])[0]), null)
            smallest[split] = least_p(tested)
            for name, one in tested.items():
                statistics.setdefault(name, np.empty(splits))[split] = one.statistic
            bar.advance()
    chosen_by = splits // 2
    rank = int(false_alarms * (chosen_by + 1) + 1e-9)
    threshold = float(np.sort(smallest[:chosen_by])[rank - 1])
    judged = smallest[chosen_by:]
    alarms = int((judged < threshold).sum())
    ends = binomtest(alarms, len(judged)).proportion_ci(CONFIDENCE, method="exact")
    return Calibration(
        new=new,
        old=every - new,
        threshold=threshold,
        chosen_by=chosen_by,
        splits=len(judged),
        alarms=alarms,
        low=float(ends.low),
        high=float(ends.high),
        by_chance={name: float(np.quantile(values, 1 - false_alarms)) for name, values in statistics.items()},
    )


def _by_null(statistic: float, null: Floats) -> Tested:
    """A split's p by the random splits of the same set, which have one distribution whatever the split is."""
    higher = len(null) - int(np.searchsorted(null, statistic * (1 - 1e-7), side="left"))
    return Tested(statistic, (higher + 1) / (len(null) + 1))
