"""Selection of references: against plain loops, against the best of all choices, and on planted data."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from pipelines.references.selection import (
    cosine_distances,
    greedy_medoids,
    least_anomalous,
    select_references,
)

Floats = npt.NDArray[np.float64]


def scattered(seed: int, rows: int, width: int = 6) -> Floats:
    return np.random.default_rng(seed).normal(size=(rows, width))


def distance(one: Floats, other: Floats) -> float:
    dot = sum(float(a) * float(b) for a, b in zip(one, other, strict=True))
    lengths = math.sqrt(sum(float(a) ** 2 for a in one)) * math.sqrt(sum(float(b) ** 2 for b in other))
    return 0.5 * (1 - dot / lengths)


def cost(embeddings: Floats, picks: tuple[int, ...]) -> float:
    return sum(min(distance(row, embeddings[pick]) for pick in picks) for row in embeddings)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 4))
def test_greedy_equals_loops_and_keeps_its_promise(seed: int, rows: int, count: int) -> None:
    embeddings, count = scattered(seed, rows), min(count, rows)
    picks = greedy_medoids(cosine_distances(embeddings), count)
    loop: tuple[int, ...] = ()
    for _ in range(count):
        costs = {row: cost(embeddings, (*loop, row)) for row in range(rows) if row not in loop}
        loop = (*loop, min(costs, key=lambda row: (round(costs[row], 9), row)))
    assert cost(embeddings, tuple(picks)) == pytest.approx(cost(embeddings, loop), abs=1e-9)
    if count < rows:  # with all rows the last picks are ties at zero
        assert picks == list(loop)
    best = min(cost(embeddings, some) for some in itertools.combinations(range(rows), count))
    assert rows - cost(embeddings, tuple(picks)) >= (1 - 1 / math.e) * (rows - best) - 1e-9


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30), st.floats(0, 1))
def test_least_anomalous_equals_a_sort(scores: list[float], share: float) -> None:
    kept = max(math.ceil(share * len(scores)), 2)
    expected = sorted(sorted(range(len(scores)), key=lambda row: (scores[row], row))[:kept])
    assert least_anomalous(np.array(scores), share, 2).tolist() == expected


def planted(seed: int) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Four looks of normal images of unequal size, anomalies close to them, and odd single images.

    Returns:
        Scores, embeddings, and the look of each row (−1 anomaly, −2 odd one).
    """
    rng = np.random.default_rng(seed)
    centres = np.eye(12)[:4]
    rows, looks, scores = [], [], []
    for look, size in enumerate((60, 35, 20, 15)):
        rows.append(centres[look] + rng.normal(scale=0.08, size=(size, 12)))
        looks += [look] * size
        scores.append(rng.uniform(0.1, 0.4, size))
    rows.append(centres[rng.integers(0, 4, 50)] + rng.normal(scale=0.08, size=(50, 12)))
    looks += [-1] * 50
    scores.append(rng.uniform(0.6, 1.5, 50))
    rows.append(np.eye(12)[4:9] + rng.normal(scale=0.02, size=(5, 12)))  # low score, but like nothing else
    looks += [-2] * 5
    scores.append(rng.uniform(0.1, 0.2, 5))
    order = rng.permutation(len(looks))
    return np.concatenate(scores)[order], np.concatenate(rows)[order], np.array(looks)[order]


@pytest.mark.parametrize("seed", range(12))
def test_planted_looks_are_covered_and_anomalies_never_picked(seed: int) -> None:
    scores, embeddings, looks = planted(seed)
    picks = select_references(scores, embeddings, 4, share=0.6)
    assert sorted(looks[pick.index] for pick in picks) == [0, 1, 2, 3]
    shares = [pick.represents for pick in picks]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1)
    assert looks[picks[0].index] == 0  # the most common look first
    assert picks == select_references(scores, embeddings, 4, share=0.6)
    again = np.random.default_rng(seed).permutation(len(scores))
    shuffled = select_references(scores[again], embeddings[again], 4, share=0.6)
    assert {int(again[pick.index]) for pick in shuffled} == {pick.index for pick in picks}


def test_an_image_is_not_proposed_twice() -> None:
    embeddings = np.repeat(scattered(3, 5), 4, axis=0)  # each of five looks four times
    picks = select_references(np.zeros(20), embeddings, 5, share=1.0)
    assert sorted(pick.index // 4 for pick in picks) == [0, 1, 2, 3, 4]
    assert all(pick.represents == pytest.approx(0.2) for pick in picks)


def test_a_count_beyond_the_share_still_gets_its_picks() -> None:
    scores = np.arange(10.0)
    picks = select_references(scores, scattered(1, 10), 6, share=0.1)
    assert sorted(pick.index for pick in picks) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="11 of 10"):
        select_references(scores, scattered(1, 10), 11)
