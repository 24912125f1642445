"""Chance level: the interval against an independent reference, and the verdict at its edges."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.stats import mannwhitneyu, norm

from cluster.verdicts import auroc_interval, chance_level

COUNTS = st.integers(1, 500)


@given(st.floats(0, 1), COUNTS, COUNTS)
def test_the_interval_is_in_range_and_holds_the_area(area: float, defective: int, normal: int) -> None:
    low, high = auroc_interval(area, defective, normal)
    assert 0 <= low <= area <= high <= 1


@pytest.mark.parametrize(("rate", "defective", "normal"), [(1.0, 30, 30), (2.0, 40, 80), (4.0, 60, 25)])
def test_the_interval_is_that_of_drawn_exponential_scores(rate: float, defective: int, normal: int) -> None:
    """The error is exact for exponential scores: areas of drawn ones spread as much."""
    rng = np.random.default_rng(0)
    drawn = rng.exponential(rate, (4000, defective)), rng.exponential(1.0, (4000, normal))
    areas = mannwhitneyu(*drawn, axis=1, method="asymptotic").statistic / (defective * normal)
    area = rate / (1 + rate)
    assert areas.mean() == pytest.approx(area, abs=0.005)
    low, high = auroc_interval(area, defective, normal)
    assert high - low == pytest.approx(2 * norm.ppf(0.975) * areas.std(), rel=0.05)


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
