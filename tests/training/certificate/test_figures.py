"""Shares, false calls and paired differences, against their definitions."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import beta

from training.certificate.figures import (
    Judged,
    differences,
    false_calls,
    judge,
    recall_by_size,
    share,
    size_of,
)
from training.metrics.coco import Detections


def seen(found: list[bool], calls: int = 0, visible: list[bool] | None = None) -> Judged:
    truth = np.array(found, bool)
    counted = np.ones(len(found), bool) if visible is None else np.array(visible, bool)
    return Judged(truth, np.where(truth, 0.5, np.nan), calls, counted)


def test_a_defect_is_found_once_and_what_is_left_is_a_false_call() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], float)
    regions = np.array([[50, 50, 90, 90]], float)
    detected = Detections(
        np.array([[0, 0, 10, 10], [0, 0, 10, 9], [60, 60, 70, 70], [20, 20, 24, 30]], float),
        np.array([0.6, 0.9, 0.8, 0.7]),
        np.zeros(4, np.int64),
    )
    one = judge(detected, boxes, regions, 0.5)
    assert one.found.tolist() == [True, False]
    assert one.scores[0] == 0.9  # the best box takes it
    assert one.false_calls == 2  # its double, and the one that overlaps by 0.4; not the one in the region
    assert judge(detected, boxes, regions, 0.4).found.tolist() == [True, True]


def test_sizes_of_boxes() -> None:
    boxes = np.array([[0, 0, 4, 9], [1, 1, 3, 3]], float)
    assert size_of(boxes, "longer_side").tolist() == [9, 2]
    assert size_of(boxes, "root_area").tolist() == [6, 2]


def test_a_share_has_the_interval_of_clopper_and_pearson() -> None:
    told = share(7, 9)
    assert told["low"] == pytest.approx(beta.ppf(0.025, 7, 3))
    assert told["high"] == pytest.approx(beta.ppf(0.975, 8, 2))
    assert share(0, 0)["share"] is None
    assert share(5, 5)["high"] == 1


def test_bins_hold_all_defects_in_order_of_size() -> None:
    rng = np.random.default_rng(0)
    sizes, found = rng.random(57), rng.random(57) < 0.5
    rows = recall_by_size(sizes, found)
    assert len(rows) == 5
    assert sum(row["of"] for row in rows) == 57
    assert sum(row["count"] for row in rows) == found.sum()
    assert all(before["most"] <= after["least"] for before, after in pairwise(rows))
    assert recall_by_size(sizes[:9], found[:9]) == []


def test_false_calls_of_images_and_of_none() -> None:
    told = false_calls([seen([], calls=calls) for calls in (0, 0, 3, 1) * 2], seed=0)
    assert told["mean"] == 1
    assert told["low"] <= 1 <= told["high"]
    few = false_calls([seen([], calls=calls) for calls in (0, 0, 3, 1, 1)], seed=0)
    assert (few["low"], few["high"]) == (None, None)  # drawing five images anew gives no 95 %
    alike = false_calls([seen([], calls=2)] * 3, seed=0)  # three of three alike are no certainty
    assert alike["high"] - 2 == pytest.approx(2 - alike["low"]) == pytest.approx(1 - 0.025 ** (1 / 3))
    assert told["images_with_any"]["share"] == 0.5
    none = false_calls([seen([])] * 20, seed=0)
    assert none["mean"] == 0
    assert none["high"] == pytest.approx(1 - 0.025 ** (1 / 20))
    assert false_calls([], seed=0)["mean"] is None


def test_differences_are_paired_and_leave_out_what_a_tilt_hides() -> None:
    plain = [seen([True, True], 1), seen([True, False]), seen([])]
    same = differences(plain, plain, seed=0)
    for name, images in (("recall", 2), ("false_calls", 3)):  # no change seen is no proof that there is none
        assert same[name]["difference"] == 0
        assert same[name]["high"] == pytest.approx(1 - 0.025 ** (1 / images))
        assert same[name]["low"] == -same[name]["high"]
    changed = [seen([False, True], 1, [True, False]), seen([True, False], 2), seen([])]
    few = differences(plain, changed, seed=0)
    assert few["recall"]["low"] is few["false_calls"]["high"] is None
    told = differences(plain * 3, changed * 3, seed=0)
    assert told["defects"] == 9
    assert told["recall"]["value"] == pytest.approx(1 / 3)
    assert told["recall"]["difference"] == pytest.approx(-1 / 3)  # one of the three that both can see
    assert told["false_calls"]["difference"] == pytest.approx(2 / 3)
    assert told["recall"]["low"] <= told["recall"]["difference"] <= told["recall"]["high"]
    nothing = differences([seen([])], [seen([])], seed=0)
    assert nothing["recall"] == {"value": None, "difference": None, "low": None, "high": None}
