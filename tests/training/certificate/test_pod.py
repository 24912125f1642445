"""The hit/miss curve: against scikit-learn, by the coverage of a90/95, and where no size may be told."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from training.certificate.pod import (
    Pod,
    fitted_curve,
    hosmer_lemeshow,
    probability_of_detection,
)

A90, SLOPE = 30.0, 3.0


def trial(
    seed: int, count: int = 200, spread: float = 0.7, slope: float = SLOPE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sizes, hits and images of simulated defects whose a90 is known."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(np.log(20), spread, count))
    chance = expit(logit(0.9) + slope * np.log(sizes / A90))
    return sizes, rng.random(count) < chance, np.arange(count)


def pod_of(sizes: np.ndarray, found: np.ndarray, images: np.ndarray | None = None) -> Pod:
    numbers = np.arange(len(sizes)) if images is None else images
    return probability_of_detection(sizes, found, numbers, least_defects=60)


def test_the_curve_is_scikit_learns_and_its_covariance_the_inverse_information() -> None:
    sizes, found, images = trial(1)
    curve = fitted_curve(sizes, found, images)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(np.log(sizes)[:, None], found)
    assert curve.slope == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert curve.intercept == pytest.approx(reference.intercept_[0], rel=1e-4)
    x = np.stack([np.ones(len(sizes)), np.log(sizes)], axis=1)
    share = reference.predict_proba(np.log(sizes)[:, None])[:, 1]
    information = x.T @ np.diag(share * (1 - share)) @ x
    (covariance,) = curve.covariances
    np.testing.assert_allclose(covariance, np.linalg.inv(information), rtol=1e-3)


def test_a90_95_lies_above_the_true_a90_in_95_of_100_trials() -> None:
    above = told = 0
    trials = 300
    for seed in range(trials):
        sizes, found, images = trial(1000 + seed, spread=0.9)
        curve = fitted_curve(sizes, found, images)
        bound = curve.size_of_lower(0.9)
        told += bound is not None
        above += bound is None or bound >= A90
    assert told > 0.95 * trials
    assert 0.91 <= above / trials <= 0.985  # four deviations of a share of 0.95


def test_sizes_are_those_of_the_curve_and_the_bound_is_met_where_it_is_told() -> None:
    pod = pod_of(*trial(2, spread=0.9))
    curve = pod.curve
    assert curve is not None
    assert pod.reasons == {}
    a50, a90, bound = (pod.sizes[name] for name in ("a50", "a90", "a90_95"))
    assert a50 is not None
    assert a90 is not None
    assert bound is not None
    assert a50 < a90 < bound
    np.testing.assert_allclose(curve.at(np.array([a50, a90])), [0.5, 0.9], atol=1e-9)
    assert curve.lower(np.array([bound]))[0] == pytest.approx(0.9, abs=1e-9)


def test_defects_of_one_image_that_share_their_fate_widen_the_bound() -> None:
    sizes, found, images = trial(3, count=150, spread=0.9)
    alone = fitted_curve(sizes, found, images).size_of_lower(0.9)
    fourfold, hits = np.repeat(sizes, 4), np.repeat(found, 4)
    together = fitted_curve(fourfold, hits, np.repeat(images, 4)).size_of_lower(0.9)
    taken_as_more = fitted_curve(fourfold, hits, np.arange(600)).size_of_lower(0.9)
    assert alone is not None
    assert together is not None
    assert taken_as_more is not None
    assert taken_as_more < together
    assert together == pytest.approx(alone, rel=0.1)  # four copies tell no more than one


@pytest.mark.parametrize("shown", [1, 2, 5])
def test_many_defects_of_few_images_give_no_curve(shown: int) -> None:
    """A test part of one long strip: its image alone says nothing of others."""
    sizes, found, _ = trial(2, spread=0.9)
    pod = pod_of(sizes, found, np.arange(len(sizes)) % shown)
    assert pod.curve is None
    assert f"lie in {shown} image" in pod.why_not
    assert pod_of(sizes, found, np.arange(len(sizes)) % 6).curve is not None


def test_no_figure_where_there_is_none() -> None:
    sizes, found, _ = trial(4)
    for why, pod in {
        "too few for a curve": pod_of(sizes[:59], found[:59]),
        "every defect was found": pod_of(sizes, np.ones(200, bool)),
        "no defect was found": pod_of(sizes, np.zeros(200, bool)),
        "larger than every missed one": pod_of(sizes, sizes > 20),
        "smaller than every missed one": pod_of(sizes, sizes < 20),
        "does not grow with size": pod_of(*trial(5, slope=-2)[:2]),
        "every defect has the same size": pod_of(np.full(200, 7.0), found),
    }.items():
        assert pod.curve is None
        assert why in pod.why_not
        assert set(pod.sizes.values()) == {None}


def test_a_size_beyond_the_defects_is_not_told() -> None:
    sizes, found, _ = trial(9, count=400)
    small = sizes < 22
    pod = pod_of(sizes[small], found[small])
    assert pod.curve is not None
    assert pod.sizes["a50"] is not None
    assert pod.sizes["a90"] is None
    assert pod.sizes["a90_95"] is None
    assert "beyond the largest defect" in pod.reasons["a90"]
    assert "beyond the largest defect" in pod.reasons["a90_95"]


def test_a_curve_that_the_defects_contradict_is_refused() -> None:
    rng = np.random.default_rng(7)
    sizes = np.exp(rng.uniform(np.log(5), np.log(80), 600))
    # Half of all are found, whatever their size, until from 40 on all are.
    found = (rng.random(600) < 0.5) | (sizes > 40)
    pod = pod_of(sizes, found)
    assert pod.curve is None
    assert "does not hold" in pod.why_not


def test_the_test_of_the_curve_alarms_as_rarely_as_it_says() -> None:
    alarms = 0
    for seed in range(200):
        sizes, found, images = trial(2000 + seed)
        curve = fitted_curve(sizes, found, images)
        alarms += curve.fit_p < 0.05
        assert hosmer_lemeshow(sizes, found.astype(float), curve.at(sizes)) == pytest.approx(curve.fit_p)
    assert alarms <= 22  # 10 are expected
