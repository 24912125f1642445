"""Matches of boxes and objects are those of the COCO evaluator, image by image and IoU by IoU."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from pipelines.boxes import matched

IOUS = np.linspace(0.5, 0.95, 10)


def scene(seed: int) -> tuple[Any, Any, Any]:
    """Boxes near objects and elsewhere, best first, and an ignored region; whole pixels, so ties too."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, (4, 2))
    objects = np.concatenate([corners, corners + rng.integers(4, 24, (4, 2))], axis=1)
    boxes = np.repeat(objects, 2, axis=0) + rng.integers(-2, 3, (8, 4))
    stray = rng.integers(0, 60, (3, 2))
    boxes = np.concatenate([boxes, np.concatenate([stray, stray + 9], axis=1)])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    place = rng.integers(0, 50, (1, 2))
    regions = np.concatenate([place, place + 22], axis=1)
    return rng.permutation(boxes).astype(float), objects.astype(float), regions.astype(float)


def by_coco(boxes: Any, objects: Any, regions: Any) -> int:
    """Boxes that are right by the library, at every IoU together."""

    def annotation(number: int, box: Any, crowd: int) -> dict[str, Any]:
        x0, y0, x1, y1 = box
        size = [x0, y0, x1 - x0, y1 - y0]
        return {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "bbox": size,
            "area": size[2] * size[3],
            "iscrowd": crowd,
        }

    listed = [annotation(n + 1, box, 0) for n, box in enumerate(objects)]
    listed += [annotation(len(objects) + n + 1, box, 1) for n, box in enumerate(regions)]
    detections = [
        {key: value for key, value in annotation(0, box, 0).items() if key != "id"} | {"score": 1 - n / 100}
        for n, box in enumerate(boxes)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(
            {
                "images": [{"id": 1, "width": 100, "height": 100}],
                "annotations": listed,
                "categories": [{"id": 1, "name": "defect"}],
            }
        )
        judge = COCOeval_faster(truth, truth.loadRes(detections), "bbox")
        judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
        judge.evaluate()
        judge.accumulate()
    recall = judge.eval["recall"][:, 0, 0, -1]
    return round(float(recall.sum()) * len(objects))


@pytest.mark.parametrize("seed", range(25))
def test_as_many_boxes_are_right_as_by_coco(seed: int) -> None:
    boxes, objects, regions = scene(seed)
    ours = matched(boxes, objects, regions, IOUS)
    assert int(ours.right.sum()) == by_coco(boxes, objects, regions)


def test_each_object_is_met_once_by_the_better_box_and_a_region_takes_what_lies_in_it() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [80, 80, 90, 90]], float)
    matches = matched(boxes, boxes[:1], np.array([[45.0, 45.0, 70.0, 70.0]]), [0.5])
    assert matches.met[0].tolist() == [0, -1, -1, -1]
    assert matches.ignored[0].tolist() == [False, False, True, False]
    assert matches.overlap[:, 0].tolist() == [1.0, 0.9, 0.0, 0.0]


def test_nothing_meets_nothing() -> None:
    none = np.zeros((0, 4))
    matches = matched(none, none, none, [0.5])
    assert matches.right.shape == (1, 0)
    assert not matched(np.array([[0.0, 0.0, 5.0, 5.0]]), none, none, [0.5]).right.any()
