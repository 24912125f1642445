"""COCO AP against pycocotools, and its edges."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.metrics.coco import AveragePrecision, Detections, TrueObjects, average_precision

CLASSES = ("blowhole", "crack", "fray", "never")


def random_images(seed: int, images: int) -> tuple[list[TrueObjects], list[Detections]]:
    """Boxes at random, detections near them or anywhere; some images empty, the last class never true."""
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(images):
        count = int(rng.integers(0, 5))
        corners = rng.uniform(0, 150, (count, 2))
        boxes = np.concatenate([corners, corners + rng.uniform(5, 90, (count, 2))], axis=1)
        labels = rng.integers(0, 3, count)
        near = boxes + rng.normal(0, 6, boxes.shape)
        extra = rng.uniform(0, 100, (int(rng.integers(0, 4)), 4))
        extra[:, 2:] += extra[:, :2] + 1
        shuffled = np.where(rng.random(count) < 0.8, labels, 3)
        truths.append(TrueObjects(boxes, labels))
        every = np.concatenate([near, extra])
        scores = rng.random(len(every))
        found.append(Detections(every, scores, np.concatenate([shuffled, rng.integers(0, 4, len(extra))])))
    return truths, found


def reference(truths: list[TrueObjects], found: list[Detections]) -> Any:
    """pycocotools' own answer."""
    annotations: list[dict[str, Any]] = []
    results = []
    for image, (truth, detected) in enumerate(zip(truths, found, strict=True), start=1):
        for (x0, y0, x1, y1), label in zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": label + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
        for (x0, y0, x1, y1), label, score in zip(
            detected.boxes.tolist(), detected.labels.tolist(), detected.scores.tolist(), strict=True
        ):
            results.append(
                {
                    "image_id": image,
                    "category_id": label + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "score": score,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth_api = COCO()
        truth_api.dataset = {
            "images": [{"id": image} for image in range(1, len(truths) + 1)],
            "annotations": annotations,
            "categories": [{"id": number + 1, "name": name} for number, name in enumerate(CLASSES)],
        }
        truth_api.createIndex()
        evaluation = COCOeval(truth_api, truth_api.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


BUCKETS = ("map50_95", "map50", "map75", "small", "medium", "large")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 30))
def test_equals_pycocotools(capfd: pytest.CaptureFixture[str], seed: int, images: int) -> None:
    truths, found = random_images(seed, images)
    assume(any(len(truth.labels) for truth in truths) and any(len(one.labels) for one in found))
    ours = average_precision(truths, found, CLASSES)
    theirs = reference(truths, found)
    stats = np.where(theirs.stats < 0, np.nan, theirs.stats)
    assert [getattr(ours, name) for name in BUCKETS] == pytest.approx(stats[:6], abs=1e-6, nan_ok=True)
    assert ours.recall == pytest.approx(stats[8], abs=1e-6)
    precision = np.where(theirs.eval["precision"] < 0, np.nan, theirs.eval["precision"])[..., -1]
    thresholds = np.where(theirs.eval["scores"] < 0, np.nan, theirs.eval["scores"])[..., -1]
    for index, row in enumerate(ours.classes):
        per_class = precision[:, :, index].mean(axis=(0, 1))
        own = [row.map50_95, row.small, row.medium, row.large]
        assert own == pytest.approx(per_class, abs=1e-6, nan_ok=True)
        assert row.precision == pytest.approx(precision[0, :, index, 0], abs=1e-6, nan_ok=True)
        assert row.threshold == pytest.approx(thresholds[0, :, index, 0], abs=1e-6, nan_ok=True)
    assert capfd.readouterr().out == ""


def one_box(label: int = 0) -> TrueObjects:
    return TrueObjects(np.array([[10.0, 10, 50, 50]]), np.array([label]))


def nothing() -> Detections:
    return Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))


def hit(score: float) -> Detections:
    return Detections(np.array([[10.0, 10, 50, 50]]), np.array([score]), np.array([0]))


def scores(found: AveragePrecision) -> tuple[float, float]:
    return found.map50, found.map50_95


def test_no_detection_scores_zero() -> None:
    assert scores(average_precision([one_box()], [nothing()], CLASSES)) == (0, 0)


def test_perfect_detection_scores_one_and_absent_classes_are_nan() -> None:
    result = average_precision([one_box()], [hit(0.5)], CLASSES)
    assert scores(result) == pytest.approx((1, 1))
    assert [row.boxes for row in result.classes] == [1, 0, 0, 0]
    assert np.isnan([row.map50 for row in result.classes[1:]]).all()


def test_a_better_scored_detection_on_a_background_costs_precision() -> None:
    empty = TrueObjects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    result = average_precision([one_box(), empty], [hit(0.5), hit(0.9)], CLASSES)
    assert scores(result) == pytest.approx((0.5, 0.5))


def test_without_any_true_box_there_is_nothing_to_measure() -> None:
    empty = TrueObjects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64))
    with pytest.raises(ValueError, match="no true box"):
        average_precision([empty], [hit(0.9)], CLASSES)
