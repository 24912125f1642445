"""Figures of transfer studies against plain formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from training.dense.modality import dead_leaves, feature_shift, pooled_features
from training.models.backbones.base import build
from tuning.paired import paired
from tuning.transfer.statistics import iterations_to, spread


def test_spread_is_mean_and_sample_deviation() -> None:
    found = spread([0.2, 0.4, math.nan, 0.9])
    assert found is not None
    assert found.count == 3
    assert found.mean == pytest.approx(0.5)
    assert found.deviation == pytest.approx(np.std([0.2, 0.4, 0.9], ddof=1))
    one = spread([0.3])
    assert one is not None
    assert one.deviation is None
    assert spread([math.nan]) is None


def test_a_score_is_reached_between_two_measurements() -> None:
    curve = [(10, 0.1), (20, 0.3), (30, 0.2), (40, 0.7)]
    assert iterations_to(curve, 0.2) == pytest.approx(15)
    assert iterations_to(curve, 0.05) == 10
    assert iterations_to(curve, 0.45) == pytest.approx(35)
    assert iterations_to(curve, 0.71) is None


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=8),
)
def test_the_paired_test_is_student_s(values: list[tuple[float, float]]) -> None:
    one = {seed: pair[0] for seed, pair in enumerate(values)}
    other = {seed: pair[1] for seed, pair in enumerate(values)}
    found = paired(one, other)
    assert found is not None
    differences = np.array([a - b for a, b in values])
    assert found.difference == pytest.approx(differences.mean())
    deviation = differences.std(ddof=1)
    if deviation < 1e-6:
        return
    t = differences.mean() / (deviation / math.sqrt(len(values)))
    # The two-sided tail of Student's t by numerical integration of its density.
    nu = len(values) - 1
    grid = np.linspace(0, 1, 400_001)[1:-1]
    x = abs(t) + grid / (1 - grid)
    density = (1 + x**2 / nu) ** (-(nu + 1) / 2) / (1 - grid) ** 2
    constant = math.gamma((nu + 1) / 2) / (math.sqrt(nu * math.pi) * math.gamma(nu / 2))
    assert found.p == pytest.approx(2 * constant * float(density.mean()), abs=2e-4)


def test_pairs_are_of_the_same_seed() -> None:
    found = paired({0: 0.5, 1: 0.7, 5: 0.1}, {1: 0.6, 0: 0.3})
    assert found is not None
    assert found.seeds == 2
    assert found.difference == pytest.approx(0.15)
    assert paired({0: 0.5}, {1: 0.5}) is None
    single = paired({0: 0.5}, {0: 0.4})
    assert single is not None
    assert (single.p, single.certain) == (None, False)


@pytest.mark.parametrize(("low", "high"), [((0.2, 0.3), (0.3, 0.4)), ((0.5, 0.25), (0.5, 0.25))])
def test_differences_that_are_alike_but_for_rounding_have_no_p(
    low: tuple[float, ...], high: tuple[float, ...]
) -> None:
    found = paired(dict(enumerate(high)), dict(enumerate(low)))
    assert found is not None
    assert (found.p, found.certain) == (None, False)


def test_shift_is_a_wasserstein_distance_in_deviations() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(2, 3, (500, 4))
    assert feature_shift(reference, reference) == 0
    assert feature_shift(reference + 3 * reference.std(axis=0), reference) == pytest.approx(3)
    wide = reference.mean(axis=0) + 2 * (reference - reference.mean(axis=0))
    assert feature_shift(wide, reference) == pytest.approx(1)


def test_grey_noise_lies_farther_from_natural_images_than_other_leaves() -> None:
    torch.manual_seed(0)
    backbone = build("test_resnet.r160_in1k")
    device = torch.device("cpu")
    reference = pooled_features(backbone, dead_leaves(24, 64), device)
    other = pooled_features(backbone, dead_leaves(24, 64, seed=1), device)
    rng = np.random.default_rng(3)
    noise = [np.repeat(rng.integers(100, 140, (64, 64, 1), dtype=np.uint8), 3, axis=2) for _ in range(24)]
    shift = feature_shift(pooled_features(backbone, noise, device), reference)
    assert shift > 2 * feature_shift(other, reference)
