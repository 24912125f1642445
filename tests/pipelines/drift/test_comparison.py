"""The tests of two sets: against SciPy's own figures, and by how often they alarm."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance

from pipelines.drift.calibration import calibrate
from pipelines.drift.comparison import Energies, Sample, compare, least_p, moved
from pipelines.drift.measures import EMBEDDING


def sample(rng: np.random.Generator, count: int, shift: float = 0.0) -> Sample:
    measures = {name: rng.normal(size=count) for name in ("brightness", "sharpness")}
    measures["brightness"] += shift
    return Sample(measures, rng.normal(size=(count, 8)).astype(np.float32))


def test_the_energy_coefficient_is_scipys_energy_distance_in_one_dimension() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(40, 1)).astype(np.float32)
    energies = Energies(points)
    for size in (5, 20):
        first = rng.permutation(40)[:size]
        rest = np.setdiff1d(np.arange(40), first)
        plain = energy_distance(points[first, 0], points[rest, 0]) ** 2
        plain /= 2 * cdist(points[first], points[rest]).mean()
        assert energies.of(first[None])[0] == pytest.approx(plain, rel=1e-4)


def test_points_that_are_all_one_are_no_distance_apart() -> None:
    assert Energies(np.ones((6, 3), np.float32)).of(np.array([[0, 1]]))[0] == 0


def test_the_gap_between_the_distributions_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(2)
    new, old = sample(rng, 30, shift=0.4), sample(rng, 50)
    tested = compare(new, old, rng)["brightness"]
    values = np.concatenate([new.measures["brightness"], old.measures["brightness"]])
    here = (new.measures["brightness"][:, None] <= values).mean(0)
    there = (old.measures["brightness"][:, None] <= values).mean(0)
    assert tested.statistic == pytest.approx(np.abs(here - there).max())


def test_what_moved_is_named_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    corpus = sample(rng, 120)
    calibration = calibrate(corpus, 40, splits=200, false_alarms=0.02, rng=rng)
    tested = compare(sample(rng, 40, shift=1.5), corpus, rng)
    assert moved(tested, calibration.threshold) == ["brightness"]
    turned = sample(rng, 40)
    far = Sample(turned.measures, turned.embeddings + np.float32(1))
    assert moved(compare(far, corpus, rng), calibration.threshold) == [EMBEDDING]


def test_the_threshold_is_of_the_rank_that_was_asked_for_and_alarms_are_counted_elsewhere() -> None:
    rng = np.random.default_rng(4)
    told = calibrate(sample(rng, 60), 20, splits=120, false_alarms=0.1, rng=rng)
    assert (told.new, told.old, told.chosen_by, told.splits) == (20, 40, 60, 60)
    assert 0 < told.threshold < 0.2
    assert told.low <= told.share <= told.high
    assert told.alarms <= 15  # 6 are expected
    assert set(told.by_chance) == {"brightness", "sharpness", EMBEDDING}


@pytest.mark.slow
def test_new_images_of_the_same_kind_alarm_as_rarely_as_was_asked_for() -> None:
    alarms, trials = 0, 60
    for seed in range(trials):
        rng = np.random.default_rng(100 + seed)
        corpus = sample(rng, 60)
        calibration = calibrate(corpus, 20, splits=80, false_alarms=0.1, rng=rng)
        tested = compare(sample(rng, 20), corpus.take(np.arange(40)), rng)
        alarms += least_p(tested) < calibration.threshold
    assert alarms <= 13  # 6 are expected; more than 13 in one of 300 such runs
