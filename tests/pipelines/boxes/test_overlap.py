"""Overlaps of boxes, as torchvision and COCO's own code have them."""

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import given, strategies as st
from pycocotools import mask as coco_mask
from torchvision.ops import box_iou

from pipelines.boxes import areas, ious, shares_within

CORNERS = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 30)] * 2)
BOXES = st.lists(CORNERS, max_size=4).map(
    lambda boxes: np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float64).reshape(-1, 4) / 3
)


@given(BOXES, BOXES)
def test_ious_are_torchvisions(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> None:
    theirs = box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()
    assert ious(boxes, others).shape == theirs.shape == (len(boxes), len(others))
    np.testing.assert_allclose(ious(boxes, others), theirs, atol=1e-12)


@given(BOXES, BOXES)
def test_shares_within_are_cocos_overlap_with_crowds(
    boxes: npt.NDArray[np.float64], regions: npt.NDArray[np.float64]
) -> None:
    ours = shares_within(boxes, regions)
    assert ours.shape == (len(boxes), len(regions))
    if ours.size:
        to_xywh = [np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1) for b in (boxes, regions)]
        np.testing.assert_allclose(ours, coco_mask.iou(*to_xywh, [1] * len(regions)))


def test_a_box_without_an_area_overlaps_nothing() -> None:
    boxes = np.array([[5.0, 5, 5, 9], [0.0, 0, 10, 10]])
    assert areas(boxes).tolist() == [0, 100]
    assert ious(boxes, boxes).tolist() == [[0, 0], [0, 1]]
    assert shares_within(boxes, boxes).tolist() == [[0, 0], [0, 1]]
