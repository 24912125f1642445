"""Suppression inside the file against the product's own, a plain loop, and hostile numbers."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from hypothesis import given, settings, strategies as st
from onnx import TensorProto, helper

from tests.onnx_session import session_of
from training.export.nms_graph import OUTPUTS, Selection, with_selection
from training.models.detectors.suppression import suppress

SHAPE = (64, 96)  # of the input, height and width
AREA, ORIGINAL = (10, 0, 86, 64), (152.0, 96.0)
SESSIONS: dict[tuple[Any, ...], Any] = {}
Array = npt.NDArray[np.float32]


def session(rules: Selection, opset: int = 20) -> Any:
    """The steps alone: a network that gives what it is given."""
    key = (rules, opset)
    if key not in SESSIONS:
        sides = {
            "boxes": [rules.candidates, rules.boxes_each, 4],
            "scores": [rules.candidates, rules.classes],
        }
        ends = {
            prefix: [
                helper.make_tensor_value_info(f"{prefix}{name}", TensorProto.FLOAT, ["batch", *shape])
                for name, shape in sides.items()
            ]
            for prefix in ("given_", "")
        }
        nodes = [helper.make_node("Identity", [f"given_{name}"], [name]) for name in sides]
        graph = helper.make_graph(nodes, "network", ends["given_"], ends[""])
        plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
        model = with_selection(plain, rules)
        onnx.checker.check_model(model, full_check=True)
        SESSIONS[key] = session_of(model.SerializeToString())
    return SESSIONS[key]


def run(rules: Selection, boxes: Array, scores: Array, area: Any = AREA, size: Any = ORIGINAL) -> list[Any]:
    count = len(boxes)
    given = {
        "given_boxes": boxes,
        "given_scores": scores,
        "area": np.tile(np.float32(area), (count, 1)),
        "size": np.tile(np.float32(size), (count, 1)),
    }
    answers: list[Any] = session(rules).run(list(OUTPUTS), given)
    return answers


def rules_of(**changes: Any) -> Selection:
    """Forty candidates of three classes."""
    values: dict[str, Any] = {
        "candidates": 40,
        "boxes_each": 1,
        "classes": 3,
        "nms_iou": 0.7,
        "min_score": 0.25,
        "max_boxes": 12,
        "most_compared": 30_000,
    }
    return Selection(**(values | changes))


def drawn(rules: Selection, seed: int, *, whole: bool = True) -> tuple[Array, Array]:
    """Boxes around few places, so that many overlap, some outside; whole pixels and few scores make ties."""
    rng = np.random.default_rng(seed)
    shape = (2, rules.candidates, rules.boxes_each)
    places = rng.integers(-10, 90, (2, 6, 2))[:, rng.integers(0, 6, shape[1:])]
    corner = places[:, :, :, :] + rng.integers(0, 4, (*shape, 2))
    sides = rng.integers(-1, 5, (*shape, 2)) * 10
    boxes = np.concatenate([corner, corner + sides], axis=-1).astype(np.float32)
    scores = rng.integers(0, 12, (2, rules.candidates, rules.classes)) / 11
    if not whole:
        boxes += rng.normal(0, 0.5, boxes.shape).astype(np.float32)
        scores = rng.random(scores.shape)
    return boxes, scores.astype(np.float32)


def reference(rules: Selection, boxes: Array, scores: Array) -> list[tuple[float, int, list[float]]]:
    """Score, label and box in pixels of the original, by plain loops over one image's candidates."""
    x0, y0, x1, y1 = AREA

    def cut(box: Array) -> list[float]:
        low_x, low_y, high_x, high_y = (float(side) for side in box)
        return [
            *(min(max(low_x, x0), x1), min(max(low_y, y0), y1)),
            *(min(max(high_x, x0), x1), min(max(high_y, y0), y1)),
        ]

    def overlap(one: Array, other: Array) -> float:
        a, b = [float(x) for x in one], [float(x) for x in other]
        width = min(a[2], b[2]) - max(a[0], b[0])
        height = min(a[3], b[3]) - max(a[1], b[1])
        shared = max(width, 0) * max(height, 0)
        areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return shared / (areas - shared)

    ranked = []
    for row in range(rules.candidates):
        for label in range(rules.classes):
            box, score = boxes[row, label if rules.boxes_each > 1 else 0], scores[row, label]
            inside = cut(box)
            if score > np.float32(rules.min_score) and inside[2] > inside[0] and inside[3] > inside[1]:
                ranked.append((-float(score), row, label, box))
    ranked.sort(key=lambda one: one[:3])
    kept: list[Any] = []
    for one in ranked[: rules.most_compared]:
        better = [other for other in kept if other[2] == one[2]]
        if rules.nms_iou is None or all(overlap(one[3], other[3]) <= rules.nms_iou for other in better):
            kept.append(one)
    scale = ORIGINAL[0] / (x1 - x0), ORIGINAL[1] / (y1 - y0)
    return [
        (-score, label, [(side - (x0, y0)[i % 2]) * scale[i % 2] for i, side in enumerate(cut(box))])
        for score, _, label, box in kept[: rules.max_boxes]
    ]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    each=st.booleans(),
    iou=st.sampled_from([0.7, 0.5, 0.8, None]),
    most_compared=st.sampled_from([30_000, 15]),
)
def test_it_is_what_plain_loops_give(seed: int, each: bool, iou: float | None, most_compared: int) -> None:
    rules = rules_of(boxes_each=3 if each else 1, nms_iou=iou, most_compared=most_compared)
    boxes, scores = drawn(rules, seed)
    answers = run(rules, boxes, scores)
    for index, (found, values, labels, count) in enumerate(zip(*answers, strict=True)):
        wanted = reference(rules, boxes[index], scores[index])
        assert count == len(wanted)
        assert labels[:count].tolist() == [label for _, label, _ in wanted]
        np.testing.assert_array_equal(values[:count], np.array([score for score, *_ in wanted], np.float32))
        if wanted:
            np.testing.assert_allclose(found[:count], [box for *_, box in wanted], atol=1e-4)
        assert not found[count:].any()
        assert not values[count:].any()
        assert (labels[count:] == -1).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), each=st.booleans())
def test_it_is_what_the_product_gives(seed: int, each: bool) -> None:
    rules = rules_of(boxes_each=3 if each else 1)
    boxes, scores = drawn(rules, seed, whole=False)
    width, height = AREA[2] - AREA[0], AREA[3] - AREA[1]
    answers = run(rules, boxes, scores)
    for index, (found, values, labels, count) in enumerate(zip(*answers, strict=True)):
        one = suppress(
            torch.from_numpy(boxes[index]),
            torch.from_numpy(scores[index]),
            size=SHAPE,
            min_score=rules.min_score,
            nms_iou=rules.nms_iou,
            max_boxes=rules.max_boxes,
            area=AREA,
        )
        assert count == len(one.boxes)
        assert labels[:count].tolist() == one.labels.tolist()
        np.testing.assert_array_equal(values[:count], one.scores.numpy())
        scale = np.array([ORIGINAL[0] / width, ORIGINAL[1] / height] * 2)
        original = (one.boxes.double().numpy() - [AREA[0], AREA[1]] * 2) * scale
        np.testing.assert_allclose(found[:count], original, atol=1e-4)


def test_an_overlap_of_exactly_the_limit_keeps_both() -> None:
    rules = rules_of(candidates=2, classes=1, nms_iou=0.8)
    boxes = np.array([[[[20, 10, 30, 20]], [[20, 10, 30, 18]]]], np.float32)  # 80 of 100
    scores = np.array([[[0.9], [0.8]]], np.float32)
    assert run(rules, boxes, scores)[-1].tolist() == [2]
    boxes[0, 1, 0, 3] = 18.01
    assert run(rules, boxes, scores)[-1].tolist() == [1]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 3e38])
def test_a_box_that_is_no_number_takes_no_place(wrong: float) -> None:
    rules = rules_of()
    boxes, scores = drawn(rules, 5, whole=False)
    scores[0, 0] = 0.2  # below the floor, as `predict` lets such a box pass
    before = run(rules, boxes, scores)
    boxes[0, 0] = wrong
    for one, other in zip(before, run(rules, boxes, scores), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_network_that_answers_nan_is_told_by_a_count_of_minus_one() -> None:
    rules = rules_of()
    boxes, scores = drawn(rules, 6, whole=False)
    sound = run(rules, boxes, scores)[-1]
    assert (sound > 0).all()
    lost = scores.copy()
    lost[0, 3, 1] = np.nan
    assert run(rules, boxes, lost)[-1].tolist() == [-1, sound[1]]
    scores[1, 3] = 0.9
    boxes[1, 3, 0, 2] = np.nan
    assert run(rules, boxes, scores)[-1].tolist() == [sound[0], -1]


def test_nothing_found_is_a_count_of_nought() -> None:
    rules = rules_of()
    boxes, scores = drawn(rules, 7)
    found, values, labels, count = run(rules, boxes, np.zeros_like(scores))
    assert count.tolist() == [0, 0]
    assert not found.any()
    assert not values.any()
    assert (labels == -1).all()
