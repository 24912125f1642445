"""AP by own matches equals COCO's; the paired interval knows equal detectors from unequal ones."""

import numpy as np
import pytest

from training.metrics import Detections, TrueObjects, average_precision
from training.metrics.resampling import MatchedDetections, difference_interval

CLASSES = ("dent", "scratch", "stain")
IMAGES = 24


def scene(seed: int, noise: float) -> tuple[list[TrueObjects], list[Detections]]:
    """Objects, some of them ignored regions, and detections near them and elsewhere."""
    fixed, rng = np.random.default_rng(1), np.random.default_rng(seed)
    truths, detections = [], []
    for _ in range(IMAGES):
        count = int(fixed.integers(0, 5))
        corners = fixed.uniform(0, 80, (count, 2))
        boxes = np.concatenate([corners, corners + fixed.uniform(5, 30, (count, 2))], axis=1)
        labels = fixed.integers(0, len(CLASSES), count)
        truths.append(TrueObjects(boxes, labels, ignored=fixed.random(count) < 0.2))
        twice = np.repeat(boxes, 2, axis=0) + rng.normal(0, noise, (2 * count, 4))
        twice[:, 2:] = np.maximum(twice[:, 2:], twice[:, :2] + 1)
        stray = rng.uniform(0, 80, (3, 2))
        found = np.concatenate([twice, np.concatenate([stray, stray + 15], axis=1)])
        which = np.concatenate([np.repeat(labels, 2), rng.integers(0, len(CLASSES), 3)])
        detections.append(Detections(found, rng.random(len(found)), which))
    return truths, detections


@pytest.mark.parametrize("seed", range(8))
def test_every_image_once_is_cocos_average_precision(seed: int) -> None:
    truths, detections = scene(seed, 2.0)
    matched = MatchedDetections.of(truths, detections, len(CLASSES))
    expected = average_precision(truths, detections, CLASSES)
    assert matched.precision(np.ones(IMAGES, np.int64)) == pytest.approx(expected.map50_95, abs=1e-9)
    assert matched.precision(np.ones(IMAGES, np.int64), 1) == pytest.approx(expected.map50, abs=1e-9)


def test_an_image_that_counts_twice_is_the_image_given_twice() -> None:
    truths, detections = scene(3, 2.0)
    counts = np.random.default_rng(0).integers(0, 3, IMAGES)
    again = [image for image, count in enumerate(counts) for _ in range(count)]
    expected = average_precision([truths[i] for i in again], [detections[i] for i in again], CLASSES)
    matched = MatchedDetections.of(truths, detections, len(CLASSES))
    assert matched.precision(counts) == pytest.approx(
        expected.map50_95, abs=0.01
    )  # ties come in another order


def test_the_interval_of_a_detector_and_itself_is_0_and_a_better_one_is_ahead() -> None:
    truths, close = scene(1, 1.0)
    _, rough = scene(2, 6.0)
    good, bad = (MatchedDetections.of(truths, each, len(CLASSES)) for each in (close, rough))
    level = difference_interval(good, good, IMAGES)
    shown = sum(truth.objects.any() for truth in truths)
    wilson = 1.959963984540054**2 / (shown + 1.959963984540054**2)  # its interval of 0 of so many ends there
    assert level == pytest.approx((-wilson, wilson))  # no difference seen is no proof that there is none
    ahead = difference_interval(good, bad, IMAGES)
    assert ahead is not None
    assert ahead[0] > 0
    behind = difference_interval(bad, good, IMAGES)
    assert behind == pytest.approx((-ahead[1], -ahead[0]))


def test_another_draw_of_the_same_noise_is_level() -> None:
    truths, one = scene(1, 3.0)
    _, other = scene(2, 3.0)
    first, second = (MatchedDetections.of(truths, each, len(CLASSES)) for each in (one, other))
    level = difference_interval(first, second, IMAGES)
    assert level is not None
    assert level[0] < 0 < level[1]


def test_images_of_a_group_are_drawn_together() -> None:
    truths, close = scene(1, 1.0)
    _, rough = scene(2, 6.0)
    good, bad = (MatchedDetections.of(truths, each, len(CLASSES)) for each in (close, rough))
    alone = difference_interval(good, bad, IMAGES, groups=np.arange(IMAGES))
    assert alone == difference_interval(good, bad, IMAGES)
    # One group is the whole set in every draw, and five are too few to draw anew.
    for groups, known in ((1, False), (5, False), (6, True)):
        numbers = np.arange(IMAGES) % groups
        for thresholds in (1, 10):
            ends = difference_interval(good, bad, IMAGES, groups=numbers, thresholds=thresholds)
            assert (ends is not None) is known
