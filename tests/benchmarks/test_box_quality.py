"""Pseudo-boxes against labels, counted by hand."""

import math

from benchmarks.real_surfaces.box_quality import box_quality


def box(x0: float, y0: float, x1: float, y1: float) -> dict[str, float]:
    return {"x0": x0, "y0": y0, "x1": x1, "y1": y1}


def test_boxes_and_defects_are_counted_by_overlap() -> None:
    truth = {"a": [box(0, 0, 10, 10), box(20, 20, 30, 30)], "b": [box(0, 0, 4, 4)], "normal": []}
    found = {
        "a": [box(0, 0, 10, 8), box(1, 0, 10, 10), box(50, 50, 60, 60)],  # IoU 0.8, 0.9, 0
        "normal": [box(0, 0, 5, 5)],
        "of another half": [box(0, 0, 1, 1)],
    }
    quality = box_quality(found, truth, 0.5)
    assert (quality.boxes, quality.defects) == (4, 3)
    assert quality.precision == 2 / 4
    assert quality.recall == 1 / 3
    assert box_quality(found, truth, 0.85).precision == 1 / 4


def test_without_any_there_is_no_share() -> None:
    quality = box_quality({}, {"normal": []}, 0.5)
    assert math.isnan(quality.precision)
    assert math.isnan(quality.recall)
