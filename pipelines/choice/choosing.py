"""The greedy choice: a high score, far from what is labelled or chosen, and disputed. Plain arrays."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import rankdata
from torch import Tensor

from pipelines.banks import farthest
from pipelines.choice.section import NextSection

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
KNOWN_AT_ONCE = 256  # labelled images compared with all candidates at a time: 100 MB for 100,000


@dataclass(frozen=True)
class Pool:
    """The images that may be chosen, one row each.

    Attributes:
        image_ids: (R,) their ids.
        categories: (R,) their object categories.
        scores: (R,) map scores, finite.
        groups: (R,) their groups of near-duplicates; at most one image of each is chosen.
        embeddings: (R, D) float32, L2-normalised.
        disagreement: (R,) 0–1, see `box_disagreement`; None without a detector.
    """

    image_ids: Sequence[str]
    categories: Sequence[str]
    scores: Floats
    groups: Sequence[str]
    embeddings: Vectors
    disagreement: Floats | None = None


@dataclass(frozen=True)
class Chosen:
    """One chosen image and why.

    Attributes:
        row: its row in the pool.
        score: product of the parts, each to its exponent.
        anomaly: share of its category's images in the pool whose map score is no higher, above 0 to 1.
        diversity: half the distance to the nearest image that is labelled or was chosen before, 0–1; 1 where
            there is none.
        disagreement: ½ + ½·disagreement, ½–1; None without a detector.
        nearest: id of that nearest image; None where there is none.
    """

    row: int
    score: float
    anomaly: float
    diversity: float
    disagreement: float | None
    nearest: str | None


def choose(
    pool: Pool,
    section: NextSection,
    seed: int,
    known_ids: Sequence[str] = (),
    known: Vectors | None = None,
) -> list[Chosen]:
    """At most `section.count` images, the most useful first; the same for the same seed.

    Each is the one of the highest `anomaly^a · diversity^d · disagreement^u` at its turn, by weighted
    farthest-point sampling (`banks.farthest`). Memory grows with the pool alone. Equal ones fall as the seed
    has it.

    Args:
        pool: the images.
        section: number and exponents.
        seed: seed of the order of equals.
        known_ids: (K,) ids of labelled images.
        known: (K, D) float32, their embeddings, L2-normalised.
    """
    anomaly = category_ranks(pool.scores, pool.categories)
    disputed = None if pool.disagreement is None else 0.5 + 0.5 * pool.disagreement
    weights = anomaly**section.anomaly
    if disputed is not None:
        weights = weights * disputed**section.disagreement
    rows = _one_a_group(pool, weights, seed)
    count = min(section.count, len(rows))
    if not count:
        return []
    if not section.diversity:
        taken = rows[np.argsort(-weights[rows], kind="stable")[:count]]
    else:
        taken = rows[_spread(pool.embeddings[rows], weights[rows], section.diversity, count, known)]
    chosen: list[Chosen] = []
    near = _nearest(pool.embeddings[taken], known)
    for row, (distance, place, earlier) in zip(taken.tolist(), near, strict=True):
        diversity = 1.0 if place is None else min(1.0, distance / 2)
        nearest = None
        if place is not None:
            nearest = pool.image_ids[int(taken[place])] if earlier else known_ids[place]
        chosen.append(
            Chosen(
                row=row,
                score=float(weights[row] * diversity**section.diversity),
                anomaly=float(anomaly[row]),
                diversity=diversity,
                disagreement=None if disputed is None else float(disputed[row]),
                nearest=nearest,
            )
        )
    return chosen


def category_ranks(scores: Floats, categories: Sequence[str]) -> Floats:
    """Each score's rank in its category, above 0 to 1: the share of the category's that are no higher.

    Scores of categories are not comparable: each has sentences and references of its own.

    Args:
        scores: (R,) finite.
        categories: (R,) names.
    """
    names = np.array(categories, dtype=str)
    ranks = np.zeros(len(scores))
    for name in np.unique(names):
        mine = names == name
        ranks[mine] = rankdata(scores[mine], method="max") / mine.sum()
    return ranks


def _one_a_group(pool: Pool, weights: Floats, seed: int) -> npt.NDArray[np.int64]:
    """Rows of the best image of each group, in an order that ids and seed decide alone."""
    drawn = [hashlib.sha256(f"{seed}:{image_id}".encode()).digest() for image_id in pool.image_ids]
    best: dict[str, int] = {}
    for row in sorted(range(len(drawn)), key=drawn.__getitem__):
        group = pool.groups[row]
        if group not in best or weights[row] > weights[best[group]]:
            best[group] = row
    return np.array(sorted(best.values(), key=drawn.__getitem__), dtype=np.int64)


def _spread(
    embeddings: Vectors, weights: Floats, exponent: float, count: int, known: Vectors | None
) -> npt.NDArray[np.int64]:
    """Places of weighted farthest points, the heaviest first where nothing is known."""
    points = torch.from_numpy(embeddings)
    # (w·d^e) orders as w^(2/e)·d² does, which `farthest` compares.
    heavy = torch.from_numpy((weights ** (2 / exponent)).astype(np.float32))
    apart = None
    first = int(heavy.argmax())
    if known is not None and len(known):
        apart = torch.full((len(points),), torch.inf)
        for start in range(0, len(known), KNOWN_AT_ONCE):
            apart = torch.minimum(apart, _squared(points, known[start : start + KNOWN_AT_ONCE]).amin(1))
        first = int((heavy * apart).argmax())
    places: npt.NDArray[np.int64] = farthest(points, count, first, weights=heavy, apart=apart).numpy()
    return places


def _squared(points: Tensor, others: Vectors) -> Tensor:
    """Squared distances of unit vectors, (R, K) ≥ 0."""
    return (2 - 2 * points @ torch.from_numpy(others).T).clamp_min(0)


def _nearest(chosen: Vectors, known: Vectors | None) -> list[tuple[float, int | None, bool]]:
    """Of each chosen image: distance and place of the nearest known or earlier one; whether it is earlier."""
    points = torch.from_numpy(chosen)
    found: list[tuple[float, int | None, bool]] = []
    for number, point in enumerate(points):
        best: tuple[float, int | None, bool] = (float("inf"), None, False)
        for others, earlier in ((known, False), (chosen[:number], True)):
            if others is None or not len(others):
                continue
            squares = _squared(point[None], others)[0]
            place = int(squares.argmin())
            if float(squares[place]) < best[0]:
                best = (float(squares[place]), place, earlier)
        found.append((best[0] ** 0.5, best[1], best[2]))
    return found
