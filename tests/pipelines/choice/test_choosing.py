"""The greedy choice against a plain loop, its properties, and a large pool."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from cluster.config import validate
from cluster.errors import UserError
from pipelines.choice.choosing import Pool, category_ranks, choose
from pipelines.choice.section import NextSection


def vectors(rows: int, width: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    drawn = np.random.default_rng(seed).standard_normal((rows, width))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def pool_of(rows: int, seed: int = 0, groups: int | None = None, disputed: bool = False) -> Pool:
    rng = np.random.default_rng(seed)
    return Pool(
        image_ids=[f"{number:032x}" for number in range(rows)],
        categories=["rail" if number % 3 else "tile" for number in range(rows)],
        scores=rng.random(rows),
        groups=[str(number % (groups or rows)) for number in range(rows)],
        embeddings=vectors(rows, 8, seed),
        disagreement=rng.random(rows) if disputed else None,
    )


def plain_choice(pool: Pool, section: NextSection, known: np.ndarray[Any, Any]) -> list[int]:
    """The definition, image by image, in float64."""
    rows, points = range(len(pool.image_ids)), pool.embeddings.astype(np.float64)
    ranks = [
        np.mean([pool.scores[other] <= pool.scores[row] for other in rows if pool.categories[other] == kind])
        for row, kind in zip(rows, pool.categories, strict=True)
    ]
    chosen: list[int] = []
    weights = [rank**section.anomaly for rank in ranks]
    if pool.disagreement is not None:
        weights = [
            w * (0.5 + 0.5 * d) ** section.disagreement
            for w, d in zip(weights, pool.disagreement, strict=True)
        ]
    best = {
        max((r for r in rows if pool.groups[r] == group), key=lambda r: weights[r]) for group in pool.groups
    }
    while len(chosen) < min(section.count, len(best)):
        others = [*known.astype(np.float64), *(points[row] for row in chosen)]

        def worth(row: int, others: list[Any] = others) -> float:
            near = min((np.linalg.norm(points[row] - other) / 2 for other in others), default=1.0)
            return float(weights[row] * near**section.diversity)

        chosen.append(max((row for row in best if row not in chosen), key=worth))
    return chosen


@pytest.mark.parametrize("labelled", [0, 3])
@pytest.mark.parametrize("disputed", [False, True])
@pytest.mark.parametrize("exponents", [(1, 1, 1), (2, 1, 0.5), (0, 1, 0), (1, 0.5, 1), (1, 0, 0)])
def test_each_is_the_best_of_what_is_left(
    labelled: int, disputed: bool, exponents: tuple[float, float, float]
) -> None:
    a, d, u = exponents
    section = NextSection(count=12, anomaly=a, diversity=d, disagreement=u)
    # Without weights the members of a group would be equals.
    pool, known = pool_of(60, 1, groups=40 if a else 60, disputed=disputed), vectors(labelled, 8, 7)
    pool = replace(pool, categories=["rail"] * 60)  # the best of two categories would be equals
    if not (a or labelled):
        pytest.skip("the first of equals is the seed's")
    chosen = choose(pool, section, 0, [f"k{number}" for number in range(labelled)], known)
    assert [one.row for one in chosen] == plain_choice(pool, section, known)
    for one in chosen:
        parts = one.anomaly**section.anomaly * one.diversity**section.diversity
        parts *= 1 if one.disagreement is None else one.disagreement**section.disagreement
        assert one.score == pytest.approx(parts, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_no_group_twice_and_no_more_than_there_are(rows: int, count: int, groups: int, seed: int) -> None:
    pool = pool_of(rows, seed, groups=groups)
    chosen = choose(pool, NextSection(count=count), seed)
    kept = [pool.groups[one.row] for one in chosen]
    assert len(kept) == len(set(kept)) == min(count, len(set(pool.groups)))


def test_the_seed_decides_among_equals_alone() -> None:
    flat = Pool(
        image_ids=[f"{number:032x}" for number in range(40)],
        categories=["rail"] * 40,
        scores=np.zeros(40),
        groups=[str(number) for number in range(40)],
        embeddings=np.tile(np.eye(8, dtype=np.float32), (5, 1)),
    )
    section = NextSection(count=8)
    drawn = [[one.row for one in choose(flat, section, seed)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {row % 8 for row in drawn[0]} == set(range(8))  # each direction once
    uneven = replace(pool_of(40, 3), categories=["rail"] * 40)
    assert [one.row for one in choose(uneven, section, 0)] == [one.row for one in choose(uneven, section, 1)]


def test_the_order_of_the_rows_changes_nothing() -> None:
    pool, section = pool_of(50, 2, groups=30), NextSection(count=10)
    order = np.random.default_rng(5).permutation(50)
    mixed = Pool(
        [pool.image_ids[row] for row in order],
        [pool.categories[row] for row in order],
        pool.scores[order],
        [pool.groups[row] for row in order],
        pool.embeddings[order],
    )
    one = [pool.image_ids[each.row] for each in choose(pool, section, 0)]
    assert one == [mixed.image_ids[each.row] for each in choose(mixed, section, 0)]


def test_what_is_labelled_keeps_its_like_away() -> None:
    pool = pool_of(30, 4)
    copy = pool.embeddings[int(np.argmax(pool.scores))][None]
    chosen = choose(pool, NextSection(count=5, anomaly=0.1), 0, ["k"], copy)
    assert int(np.argmax(pool.scores)) not in [one.row for one in chosen]
    assert chosen[0].nearest == "k"
    assert choose(pool, NextSection(count=5), 0)[0].nearest is None


def test_ranks_are_shares_within_the_category() -> None:
    ranks = category_ranks(np.array([1.0, 5.0, 5.0, 2.0, 9.0]), ["a", "a", "a", "b", "b"])
    assert ranks.tolist() == pytest.approx([1 / 3, 1, 1, 0.5, 1])


def test_a_hundred_thousand_rows() -> None:
    pool = pool_of(100_000, 0)
    assert len(choose(pool, NextSection(count=50), 0, ["k"] * 2000, vectors(2000, 8, 3))) == 50


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"count": 0}, "must be 1 or more"),
        ({"anomaly": 0, "diversity": 0, "disagreement": 0}, "leave one above 0"),
        ({"diversty": 1}, "diversity"),
        ({"anomaly": -1}, "must be 0.0 or more"),
    ],
)
def test_wrong_settings_are_told(words: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        validate(NextSection, words, "Config")
