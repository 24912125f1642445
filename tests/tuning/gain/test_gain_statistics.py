"""Paired gains against plain references: every sign by hand, Student's t in closed form."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tuning.gain.statistics import PairedGain, paired_gain

DIFFERENCES = st.lists(st.integers(-50, 50), min_size=2, max_size=7)


def of(*values: float) -> PairedGain:
    return PairedGain(dict(enumerate(values)))


def test_only_shared_seeds_are_paired() -> None:
    gain = paired_gain({1: 0.5, 2: 0.4, 7: 0.9}, {2: 0.1, 1: 0.4, 3: 0.0})
    assert gain is not None
    assert gain.differences == pytest.approx({1: 0.1, 2: 0.3})
    assert gain.mean == pytest.approx(0.2)
    assert paired_gain({1: 0.5}, {2: 0.5}) is None


@given(DIFFERENCES)
def test_the_exact_test_counts_every_sign(values: list[int]) -> None:
    mean = abs(sum(values))
    signed = [
        abs(sum(sign * value for sign, value in zip(signs, values, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    assert of(*values).p == pytest.approx(np.mean([total >= mean for total in signed]))


def test_three_seeds_can_not_be_below_a_quarter() -> None:
    assert of(5, 6, 7).p == pytest.approx(0.25)
    assert of(5, 6, 7).ahead == 3


def test_the_interval_is_student_s() -> None:
    # The 97.5 % quantile of two degrees of freedom in closed form: t = (2p − 1) · √(2 / (4p(1 − p))).
    quantile = 0.95 * math.sqrt(2 / (4 * 0.975 * 0.025))
    error = np.std([5, 6, 7], ddof=1) / math.sqrt(3)
    assert of(5, 6, 7).interval == pytest.approx((6 - quantile * error, 6 + quantile * error))
    assert of(0.25, 0.25).interval is None  # a deviation of 0 is no certainty
    assert of(0.3 - 0.2, 0.4 - 0.3).interval is None  # which rounding parts
    assert of(3).interval is None
    assert of(3).p is None


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((5, 6, 7), "gain"),
        ((-5, -6, -7), "loss"),
        ((1, 9, -4), "level"),
        ((9,), "one"),
        ((0, 0), "alike"),
        ((3, 3), "alike"),
    ],
)
def test_verdicts_follow_the_interval(values: tuple[float, ...], verdict: str) -> None:
    assert of(*values).verdict == verdict


@given(DIFFERENCES)
def test_the_seeds_needed_agree_with_the_verdict(values: list[int]) -> None:
    gain = of(*values)
    if gain.seeds_needed is not None:
        # As many seeds as there are tell a gain from none just when its interval leaves out 0.
        assert (gain.verdict != "level") == (gain.seeds_needed <= len(values))
    else:
        assert gain.verdict in ("level", "alike")
