"""Ignored regions in AP, as pycocotools has them, and in the confusion matrix."""

import contextlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.metrics.coco import Detections, TrueObjects, average_precision, true_objects
from training.metrics.confusion import confusion_matrix

SIDE = 40
CLASSES = ("dent", "crack")
Boxes = npt.NDArray[np.float64]


def reference(truths: list[TrueObjects], found: list[Detections], kind: str) -> Any:
    """pycocotools' own figures: (12,) and its arrays."""
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (truth, detected) in enumerate(zip(truths, found, strict=True), start=1):
        for place, ((x0, y0, x1, y1), label) in enumerate(
            zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True)
        ):
            item = {
                "id": len(annotations) + 1,
                "image_id": image,
                "category_id": label + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": int(truth.ignored is not None and bool(truth.ignored[place])),
            }
            if truth.masks is not None:
                runs = truth.masks[place]
                item |= {"segmentation": runs, "area": float(coco_mask.area(runs))}
            annotations.append(item)
        for place, ((x0, y0, x1, y1), label, score) in enumerate(
            zip(detected.boxes.tolist(), detected.labels.tolist(), detected.scores.tolist(), strict=True)
        ):
            shape: dict[str, Any] = {"bbox": [x0, y0, x1 - x0, y1 - y0]}
            if detected.masks is not None:
                shape = {"segmentation": detected.masks[place]}
            results.append({"image_id": image, "category_id": label + 1, "score": score, **shape})
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO()
        api.dataset = {
            "images": [{"id": image, "width": SIDE, "height": SIDE} for image in range(1, len(truths) + 1)],
            "annotations": annotations,
            "categories": [{"id": number + 1, "name": name} for number, name in enumerate(CLASSES)],
        }
        api.createIndex()
        evaluation = COCOeval(api, api.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


SPAN = st.tuples(st.integers(0, SIDE - 2), st.integers(1, SIDE)).map(lambda s: (s[0], min(s[0] + s[1], SIDE)))
BOX = st.tuples(SPAN, SPAN).map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1]))
TRUE = st.tuples(BOX, st.integers(0, 1), st.booleans())
FOUND = st.tuples(BOX, st.integers(0, 1))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[list[TrueObjects], list[Detections]]:
    """Objects, crowds and detections, many of these cut out of crowds and objects; all scores differ."""
    truths, found = [], []
    scores = iter(draw(st.permutations(range(60))))
    for _ in range(draw(st.integers(1, 3))):
        items = draw(st.lists(TRUE, max_size=5))
        shifted = [
            ((x0, y0, max(x0 + 1, x1 - draw(st.integers(0, 5))), y1), label)
            for (x0, y0, x1, y1), label, _ in items
            for _ in range(draw(st.integers(0, 2)))
        ]
        detections = shifted + draw(st.lists(FOUND, max_size=4))
        truths.append(
            TrueObjects(
                boxes_of(box for box, _, _ in items),
                np.array([label for _, label, _ in items], dtype=np.int64),
                ignored=np.array([crowd for _, _, crowd in items], dtype=np.bool_),
            )
        )
        found.append(
            Detections(
                boxes_of(box for box, _ in detections),
                np.array([(1 + next(scores)) / 61 for _ in detections]),
                np.array([label for _, label in detections], dtype=np.int64),
            )
        )
    return truths, found


def boxes_of(corners: Any) -> Boxes:
    return np.array(list(corners), dtype=np.float64).reshape(-1, 4)


def masks_of(boxes: Boxes) -> list[Any]:
    """Boxes without every fourth pixel, so that masks overlap otherwise than boxes."""
    masks = []
    for x0, y0, x1, y1 in boxes.astype(int).tolist():
        mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
        mask[y0:y1, x0:x1] = 1
        mask[::2, ::2] = 0
        masks.append(coco_mask.encode(mask))
    return masks


@settings(max_examples=120, deadline=None)
@given(scenes(), st.booleans())
def test_ap_with_crowds_is_pycocotools(
    scene: tuple[list[TrueObjects], list[Detections]], masks: bool
) -> None:
    truths, found = scene
    if masks:
        truths = [TrueObjects(one.boxes, one.labels, masks_of(one.boxes), one.ignored) for one in truths]
        found = [Detections(one.boxes, one.scores, one.labels, masks_of(one.boxes)) for one in found]
    if not any(one.objects.any() for one in truths):
        with pytest.raises(ValueError, match="no true box"):
            average_precision(truths, found, CLASSES, masks=masks)
        return
    if not any(len(one.labels) for one in found):
        return
    ours = average_precision(truths, found, CLASSES, masks=masks)
    theirs = reference(truths, found, "segm" if masks else "bbox")
    stats = np.where(theirs.stats < 0, np.nan, theirs.stats)
    own = [ours.map50_95, ours.map50, ours.map75, ours.small, ours.medium, ours.large]
    assert own == pytest.approx(stats[:6], abs=1e-6, nan_ok=True)
    assert ours.recall == pytest.approx(stats[8], abs=1e-6)
    for number, row in enumerate(ours.classes):
        assert row.boxes == sum(int((one.labels[one.objects] == number).sum()) for one in truths)


def crowd_and_object(ignored: bool) -> TrueObjects:
    boxes, labels = np.array([[100.0, 100, 150, 150]]), np.array([0])
    regions = np.array([[10.0, 10, 60, 60]])
    return true_objects(boxes, labels, regions[: int(ignored)], np.array([0])[: int(ignored)])


INSIDE = Detections(
    np.array([[12.0, 12, 30, 30], [30.0, 30, 55, 55], [100.0, 100, 150, 150]]),
    np.array([0.95, 0.93, 0.9]),
    np.array([0, 0, 0]),
)


def test_detections_on_a_crowd_cost_nothing() -> None:
    assert average_precision([crowd_and_object(True)], [INSIDE], CLASSES).map50 == pytest.approx(1)
    assert average_precision([crowd_and_object(False)], [INSIDE], CLASSES).map50 == pytest.approx(1 / 3)


def test_the_confusion_matrix_leaves_them_out_whatever_their_class() -> None:
    other = Detections(INSIDE.boxes, INSIDE.scores, np.array([1, 0, 0]))
    matrix = confusion_matrix([crowd_and_object(True)], [other], 2)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert confusion_matrix([crowd_and_object(False)], [other], 2)[2].tolist() == [1, 1, 0]
    outside = Detections(np.array([[40.0, 40, 90, 90]]), np.array([0.9]), np.array([0]))
    assert confusion_matrix([crowd_and_object(True)], [outside], 2)[2].tolist() == [1, 0, 0]
