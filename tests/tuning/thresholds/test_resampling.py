"""The interval of a gain in thresholds: the figures of drawn images, against the metrics themselves."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pipelines.boxes.section import PseudoBoxSettings
from tests.tuning.thresholds.test_thresholds import random_images
from tuning.thresholds.judged_maps import CategoryMaps, Judged
from tuning.thresholds.objective import ThresholdObjective
from tuning.thresholds.resampling import gain_interval

METRICS = ("mask_iou", "box_f1", "box_ap50", "plausibility")


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def objective_over(judged: Judged, metric: str, pool: ThreadPoolExecutor) -> ThresholdObjective:
    maps = CategoryMaps("c", judged.maxima.astype(np.float64), judged.scores, judged, judged)
    knobs = PseudoBoxSettings(c=0.3, delta=0.1, min_area=0)
    return ThresholdObjective((maps,), knobs, metric, score_share=1.0, few_weight=0.5, pool=pool)


def taken(judged: Judged, places: list[int]) -> Judged:
    """The images at these places, some perhaps more than once."""
    return replace(
        judged,
        maps=np.stack([judged.maps[place] for place in places]),
        scores=judged.scores[places],
        sizes=judged.sizes[places],
        normal=judged.normal[places],
        pixels=tuple(judged.pixels[place] for place in places),
        boxes=tuple(judged.boxes[place] for place in places),
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seed", range(4))
def test_drawn_images_are_measured_as_if_they_stood_there(
    pool: ThreadPoolExecutor, metric: str, seed: int
) -> None:
    judged = random_images(seed, count=7)
    judged = replace(judged, normal=np.arange(7) % 3 == 0)
    objective = objective_over(judged, metric, pool)
    # The thresholds are those of all images, whatever is drawn.
    level = float(judged.maxima.mean()) - 0.3
    drawn = [[0, 1, 2, 3, 4, 5, 6], [1, 1, 3, 3, 3, 6, 0], [5, 4, 4, 2, 1, 2, 2]]
    counts = np.array([np.bincount(places, minlength=7) for places in drawn])
    (selection,) = objective.selections({}).values()
    for value, places in zip(selection.drawn(metric, counts), drawn, strict=True):
        alone = objective_over(taken(judged, places), metric, pool)
        expected = alone.measure({}, fixed=level).get(metric)
        if expected is None:
            assert np.isnan(value)
        elif metric == "box_ap50":  # equal peaks of one image drawn twice stand in another order
            assert value == pytest.approx(expected, abs=0.02)
        else:
            assert value == pytest.approx(expected)


def test_the_same_settings_gain_nothing_and_better_ones_surely(pool: ThreadPoolExecutor) -> None:
    judged = random_images(1, count=60)
    objective = objective_over(judged, "mask_iou", pool)
    own, none = objective.selections({}), objective.selections({"boxes.delta": 2.0})
    assert gain_interval("mask_iou", own, own) == (0.0, 0.0)
    low, high = gain_interval("mask_iou", own, none) or (0.0, 0.0)
    assert 0 < low < objective.measure({})["mask_iou"] < high


def test_images_without_truth_have_no_interval(pool: ThreadPoolExecutor) -> None:
    judged = random_images(1, count=5)
    empty = replace(judged, pixels=(np.zeros(0, np.int64),) * 5, boxes=(np.zeros((0, 4)),) * 5)
    objective = objective_over(empty, "mask_iou", pool)
    assert gain_interval("mask_iou", objective.selections({}), objective.selections({})) is None


def test_a_few_images_have_no_interval(pool: ThreadPoolExecutor) -> None:
    """Of one image all drawn sets are one, which told a gain of any size as certain."""
    judged = random_images(1, count=60)
    places = [place for place in range(60) if len(judged.pixels[place])]
    for count, known in ((1, False), (5, False), (6, True)):
        objective = objective_over(taken(judged, places[:count]), "mask_iou", pool)
        own, none = objective.selections({}), objective.selections({"boxes.delta": 2.0})
        assert (gain_interval("mask_iou", own, none) is not None) is known
