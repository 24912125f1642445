"""Mirror images fused to one answer: against plain loops, and by what must hold of any detector."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from pipelines.surfaces.generator import generate
from training.detection.augment_section import BoxAugment
from training.evaluation.section import EvaluateSection
from training.models.detectors.base import Detector
from training.models.detectors.suppression import Predictions
from training.models.detectors.views import fused, mirrored, mirrored_area, mirrored_boxes, views_of
from training.models.names import Flip
from training.prediction.section import PredictSection
from training.starts.detector_file import load_detector
from training.starts.shipped import SHIPPED

BOTH: tuple[Flip, ...] = ("lr", "ud")


def predictions(rows: list[tuple[tuple[float, ...], float, int]]) -> Predictions:
    """Rows of box, score and label, best first."""
    rows = sorted(rows, key=lambda row: -row[1])
    return Predictions(
        torch.tensor([row[0] for row in rows], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([row[1] for row in rows], dtype=torch.float32),
        torch.tensor([row[2] for row in rows], dtype=torch.int64),
    )


def rows_of(answer: Predictions) -> list[tuple[list[float], float, int]]:
    return list(zip(answer.boxes.tolist(), answer.scores.tolist(), answer.labels.tolist(), strict=True))


def overlap(one: list[float], other: list[float]) -> float:
    across = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    down = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return across * down / (sum(areas) - across * down)


def plainly_fused(views: list[Predictions], min_score: float) -> list[tuple[list[float], float, int]]:
    """The docstring's words, a box after another."""
    every = [
        (score, view, label, box)
        for view, answer in enumerate(views)
        for box, score, label in rows_of(answer)
    ]
    every.sort(key=lambda one: -one[0])  # a view's number decides among equals, as the sort keeps the order
    clusters: list[dict[str, Any]] = []
    for score, view, label, box in every:
        rivals = [(overlap(box, one["box"]), -n) for n, one in enumerate(clusters) if one["label"] == label]
        best, place = max(rivals, default=(0.0, 0))
        if best > 0.55:
            cluster = clusters[-place]
        else:
            cluster = {"label": label, "boxes": []}
            clusters.append(cluster)
        cluster["boxes"].append((score, view, box))
        weight = sum(one[0] for one in cluster["boxes"])
        cluster["box"] = [
            sum(one[0] * one[2][side] for one in cluster["boxes"]) / weight for side in range(4)
        ]
    objects = []
    for cluster in clusters:
        best_of = [
            max((s for s, v, _ in cluster["boxes"] if v == view), default=0.0) for view in range(len(views))
        ]
        objects.append((cluster["box"], sum(best_of) / len(views), cluster["label"]))
    return sorted((one for one in objects if one[1] > min_score), key=lambda one: -one[1])


corner = st.integers(0, 40)
side = st.integers(1, 24)
# Scores all differ, so that no order is left to chance.
detection = st.tuples(corner, corner, side, side, st.integers(0, 2))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(detection, max_size=6), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_views_are_fused_as_plain_loops_fuse_them(found: list[list[tuple[int, ...]]], random: Any) -> None:
    scores = random.sample(range(1, 1000), sum(map(len, found)))
    views = [
        predictions(
            [((x, y, x + wide, y + high), scores.pop() / 1024, label) for x, y, wide, high, label in view]
        )
        for view in found
    ]
    answer, expected = fused(views, min_score=0.05, max_boxes=300), plainly_fused(views, 0.05)
    assert answer.scores.tolist() == pytest.approx([score for _, score, _ in expected], abs=1e-6)
    assert sorted(answer.labels.tolist()) == sorted(label for *_, label in expected)
    ours = sorted((round(score, 5), label, *box) for box, score, label in rows_of(answer))
    plain = sorted((round(score, 5), label, *box) for box, score, label in expected)
    assert np.array(ours) == pytest.approx(np.array(plain), abs=1e-3)


def test_what_all_views_find_keeps_its_score_and_what_one_finds_has_its_share() -> None:
    both, alone = ((0.0, 0.0, 20.0, 10.0), 0.75, 0), ((30.0, 30.0, 40.0, 50.0), 0.75, 1)
    answer = fused([predictions([both]), predictions([both, alone])], min_score=0.1, max_boxes=300)
    assert answer.boxes.tolist() == [list(both[0]), list(alone[0])]
    assert answer.scores.tolist() == [0.75, 0.375]
    assert answer.labels.tolist() == [0, 1]
    assert len(fused([predictions([both]), predictions([alone])], min_score=0.375, max_boxes=1).scores) == 0


def test_another_class_is_another_object_and_leftovers_lower_no_score() -> None:
    box, beside = (0.0, 0.0, 20.0, 10.0), (1.0, 0.0, 20.0, 10.0)
    views = [predictions([(box, 0.9, 0), (beside, 0.1, 0), (box, 0.5, 1)])] * 2
    answer = fused(views, min_score=0.01, max_boxes=300)
    assert [(round(score, 4), label) for _, score, label in rows_of(answer)] == [(0.9, 0), (0.5, 1)]


def test_no_view_finds_anything() -> None:
    answer = fused([predictions([])] * 4, min_score=0.1, max_boxes=300)
    assert (answer.boxes.shape, len(answer.scores), len(answer.labels)) == ((0, 4), 0, 0)


@pytest.mark.parametrize("view", [(), ("lr",), ("ud",), BOTH])
def test_boxes_and_areas_go_with_the_pixels(view: tuple[Flip, ...]) -> None:
    image = torch.zeros(1, 3, 24, 40)
    image[..., 3:9, 5:20] = 1
    rows, columns = mirrored(image, view)[0, 0].nonzero().unbind(1)
    seen = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
    assert mirrored_boxes(torch.tensor([[5.0, 3, 20, 9]]), view, (24, 40)).tolist() == [seen]
    assert list(mirrored_area((5, 3, 20, 9), view, (24, 40))) == seen
    assert mirrored_boxes(torch.tensor([seen]).float(), view, (24, 40)).tolist() == [[5, 3, 20, 9]]


def test_views_are_every_combination_the_image_itself_first() -> None:
    assert views_of(()) == [()]
    assert views_of(("ud",)) == [(), ("ud",)]
    assert views_of(BOTH)[0] == ()
    assert sorted(views_of(BOTH)) == [(), ("lr",), ("lr", "ud"), ("ud",)]


@pytest.fixture
def trained() -> Detector:
    return load_detector(SHIPPED).eval()


def surface(seed: int) -> torch.Tensor:
    """A made surface with a defect, (1, 3, 96, 96) in [0, 1]."""
    image = generate(seed, 0, size=96, defect_share=1).image
    return torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("view", views_of(BOTH)[1:])
def test_a_mirrored_image_has_the_mirrored_answer(trained: Detector, view: tuple[Flip, ...]) -> None:
    image, area = surface(5), (0, 8, 96, 90)
    there = mirrored_area(area, view, (96, 96))

    def answers() -> tuple[Predictions, Predictions]:
        (straight,) = trained.predict(image, min_score=0.02, areas=[area])
        (turned,) = trained.predict(mirrored(image, view), min_score=0.02, areas=[there])
        return straight, replace(turned, boxes=mirrored_boxes(turned.boxes, view, (96, 96)))

    straight, turned = answers()
    assert straight.scores[:3].tolist() != pytest.approx(turned.scores[:3].tolist(), abs=1e-3)
    trained.flips = BOTH
    straight, turned = answers()
    assert len(straight.scores)
    assert turned.scores.tolist() == pytest.approx(straight.scores.tolist(), abs=1e-4)
    assert turned.boxes.numpy() == pytest.approx(straight.boxes.numpy(), abs=1e-2)
    assert (straight.boxes[:, 1] >= 8).all()
    assert (straight.boxes[:, 3] <= 90).all()


def test_a_higher_floor_leaves_the_better_objects_as_they_are(trained: Detector) -> None:
    image, trained.flips = surface(5), BOTH
    (low,) = trained.predict(image, min_score=0.001)
    floor = float(low.scores[: len(low.scores) // 2][-1])
    (high,) = trained.predict(image, min_score=floor)
    count = len(high.scores)
    assert 0 < count < len(low.scores)
    assert torch.equal(low.scores[:count], high.scores)
    assert torch.equal(low.boxes[:count], high.boxes)
    assert low.scores[count] <= floor


@pytest.mark.parametrize("section", [PredictSection, EvaluateSection])
def test_flips_are_named_once_and_decide_results(section: Any) -> None:
    assert "flips" not in section().deciding
    assert section(flips=["ud", "lr"]).deciding["flips"] == ["lr", "ud"]
    with pytest.raises(ValidationError, match="each once"):
        section(flips=["lr", "lr"])
    with pytest.raises(ValidationError):
        section(flips=["left"])


def test_the_flips_learnt_from_are_those_of_some_probability() -> None:
    assert BoxAugment().flips == BOTH
    assert BoxAugment(flip_lr=0).flips == ("ud",)
    assert BoxAugment(flip_lr=0, flip_ud=0).flips == ()
