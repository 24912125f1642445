"""Which of many unlabelled images to propose as normal references. Plain numpy: no files, no models.

Three wishes pull apart: a reference must be normal, must be typical, and must differ from the others, because
KeAD's memory bank (paper eq. 5) calls anything anomalous that looks like no reference. First the images with
the lowest zero-shot anomaly scores are kept. Among these, greedy k-medoids picks the references one by one,
each time the image that brings the kept ones nearest to their nearest reference. An image far from all others
serves nobody but itself and is not picked (typical); one like an earlier pick brings nothing (different).
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Of the magnetic tiles 29 % have defects; by surface-clip's scores 10 % of the lowest 30 % have, and 6 % of
# the picks (from 100 samples of 400). A smaller share gains little and covers the normal images less well.
KEPT_SHARE = 0.3
TIE_DECIMALS = 9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pick:
    """One proposed image.

    Attributes:
        index: the image's row.
        represents: share of the kept images that are nearer to it than to any other pick, 0…1.
    """

    index: int
    represents: float


def cosine_distances(embeddings: npt.NDArray[np.floating]) -> Floats:
    """½(1 − cos) of every pair, the distance of the paper's eq. 5: (n, n) in 0…1 from (n, D), no row zero."""
    rows = embeddings.astype(np.float64)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distances: Floats = np.clip(0.5 * (1 - rows @ rows.T), 0, 1)
    return distances


def least_anomalous(scores: npt.NDArray[np.floating], share: float, least: int) -> npt.NDArray[np.int64]:
    """Rows of the lowest scores, ascending by row; the earlier row of equal scores is kept.

    Args:
        scores: (n,) finite.
        share: share of the rows, 0…1, rounded up.
        least: fewest rows kept (all if there are fewer).
    """
    count = max(math.ceil(share * len(scores)), least)
    return np.sort(np.argsort(scores, kind="stable")[:count])


def greedy_medoids(distances: Floats, count: int) -> list[int]:
    """Greedy k-medoids: each pick lowers the sum of the distances to the nearest pick the most.

    Each image's saving, 1 less that distance, is submodular in the picks, so greed saves at least 1 − 1/e of
    what the best picks would (Nemhauser, Wolsey and Fisher, 1978). The earlier of equal candidates is picked.

    Args:
        distances: (n, n) in 0…1, symmetric, zero on the diagonal.
        count: picks, at most n.

    Returns:
        The picked rows, in order.
    """
    nearest = np.full(len(distances), np.inf)
    picks: list[int] = []
    for _ in range(count):
        # Two images that differ from all others tie exactly; rounding must not decide between them.
        cost = np.minimum(distances, nearest).sum(axis=1).round(TIE_DECIMALS)
        cost[picks] = np.inf
        picks.append(int(cost.argmin()))
        nearest = np.minimum(nearest, distances[picks[-1]])
    return picks


def select_references(
    scores: npt.NDArray[np.floating],
    embeddings: npt.NDArray[np.floating],
    count: int,
    share: float = KEPT_SHARE,
) -> list[Pick]:
    """The images to propose, the most representative first; the same input gives the same picks.

    Args:
        scores: (n,) zero-shot anomaly scores, finite.
        embeddings: (n, D), no row of length zero.
        count: number of picks, 1…n.
        share: share of the images that is kept as the least anomalous, 0…1.

    Raises:
        ValueError: fewer images than `count`.
    """
    if not 1 <= count <= len(scores):
        raise ValueError(f"{count} of {len(scores)} images asked for")
    rows = least_anomalous(scores, share, count)
    distances = cosine_distances(embeddings[rows])
    picks = greedy_medoids(distances, count)
    owners = np.bincount(distances[picks].argmin(axis=0), minlength=count) / len(rows)
    weighted = [Pick(int(rows[pick]), float(owner)) for pick, owner in zip(picks, owners, strict=True)]
    return sorted(weighted, key=lambda pick: (-pick.represents, pick.index))
