"""Filled boxes against a plain reference."""

import numpy as np
from hypothesis import given, strategies as st

from pipelines.annotations.mask_boxes import boxes_of_mask, mask_of_boxes

SIDE = st.integers(0, 11)


@given(st.lists(st.tuples(SIDE, SIDE, st.integers(1, 12), st.integers(1, 12)), max_size=4))
def test_every_pixel_inside_a_box_is_set_and_no_other(corners: list[tuple[int, int, int, int]]) -> None:
    boxes = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in corners]
    plain = np.array(
        [
            [any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in boxes) for x in range(12)]
            for y in range(10)
        ]
    )
    inside = [box for box in boxes if box[1] < 10]
    assert np.array_equal(mask_of_boxes(inside, 12, 10), plain)


def test_a_hairline_keeps_a_pixel_and_no_box_is_an_empty_mask() -> None:
    assert boxes_of_mask(mask_of_boxes([(3, 2, 3.2, 8)], 12, 10)) == [(3, 2, 4, 8)]
    assert boxes_of_mask(mask_of_boxes([(12, 2, 12, 8)], 12, 10)) == [(11, 2, 12, 8)]
    assert not mask_of_boxes([], 12, 10).any()
    assert mask_of_boxes([], 12, 10).shape == (10, 12)
