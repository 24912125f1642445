"""How many pseudo-boxes are right, and how many labelled defects they meet."""

import pytest

from pipelines.boxes.shares import BoxShares, box_shares


def test_box_shares_count_boxes_that_meet_and_defects_that_are_met() -> None:
    def box(*sides: float) -> dict[str, float]:
        return dict(zip(("x0", "y0", "x1", "y1"), sides, strict=True))

    truth = {"a": [box(0, 0, 10, 10), box(50, 50, 60, 60)], "b": [], "c": [box(0, 0, 4, 4)]}
    learnt = {
        "a": [box(0, 0, 10, 10), box(0, 0, 10, 20), box(20, 20, 30, 30)],  # the second by an IoU of just 0.5
        "b": [box(1, 1, 2, 2)],
        "unlabelled": [box(0, 0, 9, 9)],
    }
    assert box_shares(learnt, truth) == BoxShares(4, 3, 2 / 4, 1 / 3)
    assert box_shares({}, {"b": []}) == BoxShares(0, 0, None, None)


def test_f1_is_the_harmonic_mean() -> None:
    assert BoxShares(4, 3, 0.5, 0.25).f1 == pytest.approx(2 / (1 / 0.5 + 1 / 0.25))
    assert BoxShares(0, 3, None, 0.0).f1 == BoxShares(4, 3, 0.0, 0.0).f1 == 0
