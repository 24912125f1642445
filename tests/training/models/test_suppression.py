"""Detections from candidates, against plain loops; what shows nothing of the image takes no place."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from cluster.errors import UserError
from training.models.detectors.base import build_detector
from training.models.detectors.suppression import Predictions, suppress
from training.models.letterbox import Preprocessing

SIDE = 64
NAN, INF = math.nan, math.inf


def chosen(
    boxes: list[list[float]], scores: list[float], max_boxes: int = 300, **options: Any
) -> Predictions:
    return suppress(
        torch.tensor(boxes)[:, None],
        torch.tensor(scores)[:, None],
        size=(SIDE, SIDE),
        min_score=0.001,
        nms_iou=options.pop("nms_iou", 0.7),
        max_boxes=max_boxes,
        **options,
    )


GOOD = [10.0, 10, 20, 20]


@pytest.mark.parametrize("nms_iou", [0.7, None])
@pytest.mark.parametrize(
    "useless",
    [
        [-20.0, -20, -5, -5],
        [64.0, 10, 80, 20],
        [-5.0, 70, 70, 90],
        [10.0, 10, 10, 20],
        [20.0, 20, 10, 10],
        [-9.0, 3, 0, 9],
        [NAN, 10, 20, 20],
        [10.0, 10, INF, 20],
        [-INF, -INF, INF, INF],
    ],
)
def test_a_box_that_shows_nothing_takes_no_place(useless: list[float], nms_iou: float | None) -> None:
    found = chosen([useless, GOOD], [0.9, 0.8], max_boxes=1, nms_iou=nms_iou)
    assert found.boxes.tolist() == [GOOD]
    assert found.scores.tolist() == pytest.approx([0.8])


def test_a_box_in_the_filled_margin_takes_no_place_and_others_are_cut_off_there() -> None:
    boxes = [[10.0, 2, 20, 16], [10.0, 10, 20, 30]]
    found = chosen(boxes, [0.9, 0.8], max_boxes=1, area=(0, 16, 64, 48))
    assert found.boxes.tolist() == [[10.0, 16, 20, 30]]


def test_a_score_that_is_no_number_is_no_detection() -> None:
    assert chosen([GOOD, [30.0, 30, 40, 40]], [NAN, 0.8], max_boxes=1).boxes.tolist() == [[30.0, 30, 40, 40]]


def test_one_box_that_is_not_finite_does_not_end_all_suppression() -> None:
    found = chosen([[NAN, 0, 9, 9], GOOD, GOOD], [0.9, 0.8, 0.7])
    assert found.boxes.tolist() == [GOOD]


Side = st.integers(-30, 90)
ODD = st.sampled_from([NAN, INF, -INF])
Boxes = st.lists(
    st.tuples(
        st.tuples(*[st.one_of(Side, Side, Side, Side, Side, ODD)] * 4),
        st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8]), min_size=2, max_size=2),
    ),
    max_size=10,
)


def plain(
    rows: list[Any], area: tuple[int, int, int, int], limit: Fraction | None, most: int
) -> list[tuple[list[float], float, int]]:
    """Filter, sort, suppress by class, cut to the best few, cut off; on exact numbers."""
    seen = []
    for sides, scores in rows:
        for label, score in enumerate(scores):
            if score <= 0.1 or not all(map(math.isfinite, sides)):
                continue
            low, high = (area[0], area[1]) * 2, (area[2], area[3]) * 2
            inside = [min(max(x, a), b) for x, a, b in zip(sides, low, high, strict=True)]
            if inside[2] > inside[0] and inside[3] > inside[1]:
                seen.append((sides, inside, score, label))
    seen.sort(key=lambda each: -each[2])
    kept: list[Any] = []
    for each in seen:
        rivals = [other for other in kept if other[3] == each[3]]
        if limit is None or all(exact_iou(each[0], other[0]) <= limit for other in rivals):
            kept.append(each)
    return [(list(map(float, inside)), score, label) for _, inside, score, label in kept[:most]]


def exact_iou(a: tuple[int, ...], b: tuple[int, ...]) -> Fraction:
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return Fraction(shared, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@settings(max_examples=300, deadline=None)
@given(
    rows=Boxes,
    tenths=st.one_of(st.none(), st.integers(1, 10)),
    most=st.integers(1, 5),
    area=st.sampled_from([(0, 0, 64, 64), (0, 16, 64, 48), (7, 0, 57, 64)]),
)
def test_detections_are_those_of_plain_loops(
    rows: list[Any], tenths: int | None, most: int, area: tuple[int, int, int, int]
) -> None:
    found = suppress(
        torch.tensor([list(map(float, sides)) for sides, _ in rows]).reshape(-1, 1, 4),
        torch.tensor([scores for _, scores in rows]).reshape(-1, 2),
        size=(SIDE, SIDE),
        min_score=0.1,
        nms_iou=None if tenths is None else tenths / 10,
        max_boxes=most,
        area=area,
    )
    wanted = plain(rows, area, None if tenths is None else Fraction(tenths, 10), most)
    assert found.boxes.tolist() == [box for box, _, _ in wanted]
    assert found.scores.tolist() == pytest.approx([score for _, score, _ in wanted])
    assert found.labels.tolist() == [label for _, _, label in wanted]


@pytest.mark.parametrize("where", ["scores", "boxes"])
def test_a_network_that_answers_nan_has_not_found_nothing(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = build_detector("yolov8n", ("crack",), Preprocessing(SIDE, "square"))
    key = "model.22.cv3.0.2.bias" if where == "scores" else "model.22.cv2.0.2.bias"
    with torch.no_grad():
        dict(detector.named_parameters())[key].fill_(NAN)
    with pytest.raises(UserError, match="yolov8n answers NaN, so nothing can be said of these images"):
        detector.predict(torch.rand(1, 3, SIDE, SIDE), min_score=1e-9)
