"""Power laws: the fit beside SciPy's, and how often the interval holds the truth of drawn curves."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from tuning.forecast import curve
from tuning.forecast.curve import drawn_curve, fitted

SIZES = np.repeat([12.0, 25.0, 50.0, 100.0], 3)
TARGETS = (50, 100, 300, 1000)
CURVES = 120


def law(counts: object, a: float, b: float, c: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(a - b * np.asarray(counts, np.float64) ** -c)


def test_the_truth_is_found_where_there_is_no_noise() -> None:
    made = fitted(SIZES, law(SIZES, 0.7, 1.4, 0.6)[None])
    assert made.at(TARGETS)[0] == pytest.approx(law(TARGETS, 0.7, 1.4, 0.6), abs=2e-3)


@pytest.mark.parametrize("seed", range(8))
def test_no_other_fit_is_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    figures = law(SIZES, rng.uniform(0.4, 1), rng.uniform(0.5, 2), rng.uniform(0.3, 1))
    figures = figures + 0.03 * rng.standard_normal(len(figures))
    mine = fitted(SIZES, figures[None]).squares[0]
    for start in ((0.6, 1, 0.5), (0.9, 2, 0.2), (0.5, 1, 1.5)):
        theirs = least_squares(
            lambda p: law(SIZES, *p) - figures, start, bounds=([-10, 0, 0.05], [1, np.inf, 2])
        )
        assert mine <= 2 * theirs.cost * 1.002 + 1e-9


def test_a_falling_curve_is_flat_and_none_is_above_one() -> None:
    falling = fitted(SIZES, law(SIZES, 0.5, -1.0, 0.5)[None])
    assert falling.b[0] == 0
    steep = fitted(SIZES, np.minimum(1, 0.1 + SIZES / 110)[None])
    assert steep.a[0] <= 1
    assert (steep.at([10**6])[0] <= 1).all()


def noise_of(rng: np.random.Generator, nested: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Noise of the runs: each for itself, or of labels in nested subsets of the same hundred too."""
    runs = rng.uniform(0.008, 0.02) * rng.standard_normal(len(SIZES))
    if not nested:
        return np.asarray(2 * runs, np.float64)
    labels, scale = rng.standard_normal(100), rng.uniform(0.01, 0.03) * SIZES[0] ** 0.5
    order = [rng.permutation(labels) for _ in range(3)]
    taken = [order[number % 3][: int(size)].mean() for number, size in enumerate(SIZES)]
    return np.asarray(runs + scale * np.array(taken), np.float64)


@pytest.mark.parametrize(("nested", "least"), [(False, 0.88), (True, 0.8)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(
    nested: bool, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """95 % by design; of 120 curves 88 % would be three deviations below.

    Seeds that share labels, at the largest size all, know less than they seem to: near the sizes measured
    some 90 % are held.
    """
    monkeypatch.setattr(curve, "DRAWS", 200)
    rng = np.random.default_rng(3)
    held = np.zeros(len(TARGETS))
    for number in range(CURVES):
        a, c = rng.uniform(0.35, 0.95), rng.uniform(0.25, 1.1)
        b = a * rng.uniform(0.4, 0.98) * SIZES[0] ** c
        figures = np.clip(law(SIZES, a, b, c) + noise_of(rng, nested), 0, 1)
        made = drawn_curve(SIZES, figures, seed=number).at(TARGETS)
        truth = law(TARGETS, a, b, c)
        held += (made.low <= truth) & (truth <= made.high)
    assert (held / CURVES >= least).all(), held / CURVES


def test_the_interval_is_no_wider_than_it_must_be() -> None:
    rng = np.random.default_rng(0)
    figures = law(SIZES, 0.7, 1.4, 0.6) + 0.02 * rng.standard_normal(len(SIZES))
    made = drawn_curve(SIZES, figures).at(TARGETS)
    halves = (made.high - made.low) / 2
    assert halves[1] < 0.04
    assert halves[3] < 0.2
    assert halves[3] > halves[1]  # farther is less sure
    again = drawn_curve(SIZES, figures).at(TARGETS)
    assert (again.low == made.low).all()


def test_noise_of_the_images_widens_it() -> None:
    figures = law(SIZES, 0.7, 1.4, 0.6)
    shifts = 0.05 * np.random.default_rng(1).standard_normal((200, 1)) * np.ones(len(SIZES))
    alone, wider = (drawn_curve(SIZES, figures, images=images).at(TARGETS) for images in (None, shifts))
    assert (alone.high - alone.low < 0.01).all()
    assert ((wider.high - wider.low)[:2] > 0.12).all()  # about 4 deviations of 0.05


def test_too_few_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        drawn_curve(SIZES[:3], np.array([0.1, 0.2, 0.3]))
