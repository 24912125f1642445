"""Chance level: the interval against an independent reference, and the verdict at its edges."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import mannwhitneyu

from cluster.verdicts import auroc_interval, chance_level

COUNTS = st.integers(1, 500)


@given(st.floats(0, 1), COUNTS, COUNTS)
def test_the_interval_is_in_range_and_holds_the_area(area: float, defective: int, normal: int) -> None:
    low, high = auroc_interval(area, defective, normal)
    assert 0 <= low <= area <= high <= 1


@pytest.mark.parametrize(
    ("rate", "defective", "normal"), [(1.0, 30, 30), (2.0, 40, 80), (4.0, 60, 25), (20.0, 10, 10)]
)
def test_the_interval_holds_the_true_area_of_drawn_scores(rate: float, defective: int, normal: int) -> None:
    """The error is exact for exponential scores: the interval of 19 in 20 samples holds the area."""
    rng = np.random.default_rng(0)
    drawn = rng.exponential(rate, (4000, defective)), rng.exponential(1.0, (4000, normal))
    areas = mannwhitneyu(*drawn, axis=1, method="asymptotic").statistic / (defective * normal)
    intervals = {area: auroc_interval(float(area), defective, normal) for area in np.unique(areas)}
    holds = np.mean([intervals[area][0] <= rate / (1 + rate) <= intervals[area][1] for area in areas])
    assert 0.94 <= holds <= 0.965


@pytest.mark.parametrize("normal", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("defective", [1, 2, 3, 4, 7])
def test_it_is_told_from_guessing_as_by_the_exact_test(defective: int, normal: int) -> None:
    """Of every number of pairs in order, down to samples where the normal curve is far off."""
    orders = list(combinations(range(defective + normal), defective))
    in_order = [sum(ranks) - defective * (defective - 1) // 2 for ranks in orders]
    pairs = defective * normal
    for ordered in range(pairs + 1):
        as_far = sum(abs(each - pairs / 2) >= abs(ordered - pairs / 2) for each in in_order)
        low, high = auroc_interval(ordered / pairs, defective, normal)
        told, chance = high < 0.5 or low > 0.5, as_far / len(orders)
        assert chance < 0.05 if told else chance > 0.044, ordered


@pytest.mark.parametrize("area", [0.0, 1.0])
def test_few_samples_in_perfect_order_leave_room(area: float) -> None:
    """No `0.00 to 0.00` of three images against three: guessing does that once in twenty times."""
    low, high = auroc_interval(area, 3, 3)
    assert low < 0.5 < high
    verdict = chance_level("image AUROC", area, defective=3, normal=3)
    assert verdict is not None
    assert verdict.kind == "chance_level"


def test_maps_near_chance_say_so_with_a_reason_and_a_remedy() -> None:
    verdict = chance_level("image AUROC", 0.547, defective=30, normal=30)
    assert verdict is not None
    assert verdict.kind == "chance_level"
    for word in ("0.547", "interval", "patch", "references", "encoder"):
        assert word in verdict.sentence


def test_good_maps_need_no_word() -> None:
    assert chance_level("image AUROC", 0.9, defective=30, normal=30) is None
    assert chance_level("image AUROC", 0.547, defective=3000, normal=3000) is None


def test_a_perfect_order_of_two_images_is_chance() -> None:
    verdict = chance_level("image AUROC", 1.0, defective=1, normal=1)
    assert verdict is not None
    assert verdict.kind == "chance_level"


def test_an_upside_down_order_is_worse_than_chance() -> None:
    verdict = chance_level("image AUROC", 0.2, defective=50, normal=50)
    assert verdict is not None
    assert verdict.kind == "below_chance"


def test_what_was_not_measured_has_no_verdict() -> None:
    assert chance_level("pixel AUROC", None, defective=5, normal=5) is None
    with pytest.raises(ValueError, match="no interval"):
        auroc_interval(0.5, 0, 4)
