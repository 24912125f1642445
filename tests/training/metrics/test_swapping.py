"""The paired permutation test: against all swaps by COCO's own AP, its level on equal versions, its power."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from training.metrics import Detections, TrueObjects, average_precision
from training.metrics.resampling import MatchedDetections
from training.metrics.swapping import swapped_p

CLASSES = ("dent", "scratch")
Scene = tuple[list[TrueObjects], list[Detections], list[Detections]]


def scene(images: int, found: tuple[float, float], seed: int) -> Scene:
    """Objects, and what two detectors find of them: each object with a probability, and strays."""
    rng = np.random.default_rng(seed)
    truths: list[TrueObjects] = []
    sides: tuple[list[Detections], list[Detections]] = ([], [])
    for _ in range(images):
        corners = rng.uniform(0, 80, (2, 2))
        boxes, labels = np.concatenate([corners, corners + 20], axis=1), rng.integers(0, 2, 2)
        truths.append(TrueObjects(boxes, labels))
        for share, side in zip(found, sides, strict=True):
            hit = rng.random(2) < share
            stray = rng.uniform(0, 80, (1, 2))
            every = np.concatenate([boxes[hit], np.concatenate([stray, stray + 20], axis=1)])
            which = np.concatenate([labels[hit], rng.integers(0, 2, 1)])
            side.append(Detections(every, rng.random(len(every)).round(1), which))  # ties among scores
    return truths, *sides


def matched(truths: list[TrueObjects], detections: list[Detections]) -> MatchedDetections:
    return MatchedDetections.of(truths, detections, len(CLASSES))


@pytest.mark.parametrize(("seed", "groups"), [(0, [0, 1, 2, 3, 4, 5]), (1, [0, 0, 1, 2, 2, 3]), (2, [0] * 6)])
def test_all_swaps_are_those_of_the_definition(seed: int, groups: list[int]) -> None:
    truths, first, second = scene(6, (0.4, 0.7), seed)

    def lead(swapped: tuple[bool, ...]) -> float:
        pairs = [
            (two, one) if swapped[group] else (one, two)
            for one, two, group in zip(first, second, groups, strict=True)
        ]
        figures = [
            average_precision(truths, list(side), CLASSES).map50_95 for side in zip(*pairs, strict=True)
        ]
        return figures[1] - figures[0]

    count = max(groups) + 1
    told = lead((False,) * count)
    leads = [lead(swapped) for swapped in product((False, True), repeat=count)]
    expected = np.mean([one >= told - 1e-9 for one in leads])
    p = swapped_p(matched(truths, first), matched(truths, second), np.array(groups), draws=99)
    assert p == pytest.approx(expected)
    assert swapped_p(matched(truths, first), matched(truths, first), np.array(groups)) == 1


def test_equal_versions_are_promoted_no_more_often_than_the_level() -> None:
    level, sets = 0.05, 200
    promoted = 0
    for seed in range(sets):
        truths, first, second = scene(12, (0.5, 0.5), seed)
        groups = np.arange(12)
        p = swapped_p(
            matched(truths, first), matched(truths, second), groups, draws=39, seed=seed, thresholds=1
        )
        promoted += p <= level
    assert promoted <= binom.ppf(0.999, sets, level)
    assert promoted >= binom.ppf(0.001, sets, level)  # nor is it a test that never says yes


def test_drawn_swaps_agree_with_all_of_them() -> None:
    truths, first, second = scene(9, (0.4, 0.6), 5)
    sides, groups = (matched(truths, first), matched(truths, second)), np.arange(9)
    whole = swapped_p(*sides, groups, draws=512, thresholds=1)
    drawn = swapped_p(*sides, groups, draws=400, thresholds=1)
    assert drawn == pytest.approx(whole, abs=4 * (whole * (1 - whole) / 400) ** 0.5 + 1 / 401)


def test_a_better_version_is_told_and_a_worse_one_never() -> None:
    truths, first, second = scene(30, (0.2, 0.9), 1)
    sides, groups = (matched(truths, first), matched(truths, second)), np.arange(30)
    assert swapped_p(*sides, groups, draws=99, thresholds=1) == 0.01
    assert swapped_p(sides[1], sides[0], groups, draws=99, thresholds=1) > 0.9


def test_near_duplicates_count_once() -> None:
    truths, first, second = scene(4, (0.2, 0.9), 3)
    many = tuple([one for one in side for _ in range(8)] for side in (truths, first, second))
    sides = matched(many[0], many[1]), matched(many[0], many[2])  # type: ignore[arg-type]
    alone = swapped_p(*sides, np.arange(32), draws=99, thresholds=1)
    grouped = swapped_p(*sides, np.repeat(np.arange(4), 8), draws=99, thresholds=1)
    assert grouped >= 1 / 16  # of four images no more can be known
    assert alone < grouped


def test_without_an_object_nothing_is_compared() -> None:
    empty = [TrueObjects(np.zeros((0, 4)), np.zeros(0, np.int64))]
    none = matched(empty, [Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))])
    with pytest.raises(ValueError, match="no image has an object"):
        swapped_p(none, none, np.zeros(1, np.int64))
