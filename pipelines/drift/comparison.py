"""Two sets of images compared, measure by measure. Plain arrays; SciPy's tests.

Each row must be independent of the others: one image of each group of near-duplicates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp, permutation_test

from pipelines.drift.measures import EMBEDDING

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
RESAMPLES = 9999  # least p of the embeddings is 1 / 10,000
AT_ONCE = 500  # permutations in memory


@dataclass(frozen=True)
class Sample:
    """Independent images.

    Attributes:
        measures: name → (N,) finite numbers.
        embeddings: (N, D) float32.
    """

    measures: Mapping[str, Floats]
    embeddings: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.embeddings)

    def take(self, places: Places) -> "Sample":
        """The images at some places."""
        return Sample(
            {name: values[places] for name, values in self.measures.items()}, self.embeddings[places]
        )


@dataclass(frozen=True)
class Tested:
    """How one measure differs between two sets.

    Attributes:
        statistic: 0–1: the largest gap between the two cumulative distributions (Kolmogorov and Smirnov); of
            embeddings the energy coefficient (Székely and Rizzo, J. Stat. Plan. Inference 143, 2013), 0 where
            the distributions are one.
        p: probability of such a difference, or a larger one, between random parts of one set, 0–1.
    """

    statistic: float
    p: float


class Energies:
    """Energy coefficients of splits of one set, from its distances.

    Args:
        embeddings: (N, D).
    """

    def __init__(self, embeddings: npt.NDArray[np.float32]) -> None:
        self.distances = cdist(embeddings, embeddings).astype(np.float32)
        self._rows = self.distances.sum(1, dtype=np.float64)

    def of(self, places: Places) -> Floats:
        """The coefficient of each split, (S,) 0–1.

        Args:
            places: (S, n) rows of the first part; the other part is the rest.
        """
        total, first = len(self._rows), places.shape[-1]
        rest = total - first
        chosen = np.zeros((len(places), total), np.float32)
        np.put_along_axis(chosen, places, 1, axis=1)
        within = np.einsum("sn,sn->s", chosen @ self.distances, chosen, dtype=np.float64)
        to_all = self._rows[places].sum(1)
        across = (to_all - within) / (first * rest)
        others = (self._rows.sum() - 2 * to_all + within) / rest**2
        energy = np.maximum(2 * across - within / first**2 - others, 0)
        return np.asarray(np.divide(energy, 2 * across, out=np.zeros_like(energy), where=across > 0))

    def null(self, first: int, rng: np.random.Generator) -> Floats:
        """Coefficients of `RESAMPLES` random splits, (RESAMPLES,), by SciPy's permutation test."""
        return self.tested(np.arange(first, dtype=np.int64), rng)[1]

    def tested(self, places: Places, rng: np.random.Generator) -> tuple[Tested, Floats]:
        """One split against random ones, and their coefficients.

        Args:
            places: (n,) rows of the first part.
            rng: draws the random splits.
        """

        def statistic(first: Places, rest: Places, axis: int = -1) -> Any:
            coefficients = self.of(np.atleast_2d(np.asarray(first, np.int64)))
            return coefficients if np.ndim(first) > 1 else coefficients[0]

        rest = np.setdiff1d(np.arange(len(self._rows)), places)
        result = permutation_test(
            (places, rest),
            statistic,
            vectorized=True,
            permutation_type="independent",
            alternative="greater",
            n_resamples=RESAMPLES,
            batch=AT_ONCE,
            rng=rng,
        )
        return Tested(float(result.statistic), float(result.pvalue)), np.asarray(result.null_distribution)


def compare(new: Sample, old: Sample, rng: np.random.Generator) -> dict[str, Tested]:
    """Every measure of `new` against `old`, and the embeddings.

    Args:
        new, old: the two sets, with the same measures.
        rng: draws the permutations.
    """
    tested = compare_measures(new, old)
    energies = Energies(np.concatenate([new.embeddings, old.embeddings]))
    tested[EMBEDDING], _ = energies.tested(np.arange(len(new), dtype=np.int64), rng)
    return tested


def compare_measures(new: Sample, old: Sample) -> dict[str, Tested]:
    """Every measure that is one number, by the two-sample test of Kolmogorov and Smirnov."""
    return {name: _ks(values, old.measures[name]) for name, values in new.measures.items()}


def _ks(new: Floats, old: Floats) -> Tested:
    result = ks_2samp(new, old, method="auto")
    return Tested(float(result.statistic), float(result.pvalue))


def least_p(tested: Mapping[str, Tested]) -> float:
    """The smallest p of all measures."""
    return min(one.p for one in tested.values())


def moved(tested: Mapping[str, Tested], threshold: float) -> Sequence[str]:
    """Names of the measures whose p is below the threshold, the surest first."""
    names = [name for name, one in tested.items() if one.p < threshold]
    return sorted(names, key=lambda name: (tested[name].p, -tested[name].statistic))
