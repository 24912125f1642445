"""Disagreement of boxes against pixels counted one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from pipelines.choice.disagreement import box_disagreement

CORNERS = st.tuples(*[st.integers(0, 12)] * 4)


def boxes(corners: list[tuple[int, int, int, int]]) -> list[dict[str, Any]]:
    return [dict(zip(("x0", "y0", "x1", "y1"), map(float, each), strict=True)) for each in corners]


def pixels(corners: list[tuple[int, int, int, int]]) -> Any:
    image = np.zeros((12, 12), np.bool_)
    for x0, y0, x1, y1 in corners:
        image[y0:y1, x0:x1] = True
    return image


@settings(max_examples=200, deadline=None)
@given(st.lists(CORNERS, max_size=4), st.lists(CORNERS, max_size=4))
def test_it_is_the_share_of_pixels(
    first: list[tuple[int, int, int, int]], second: list[tuple[int, int, int, int]]
) -> None:
    one, other = pixels(first), pixels(second)
    either = (one | other).sum()
    expected = (one ^ other).sum() / either if either else 0.0
    assert box_disagreement(boxes(first), boxes(second)) == pytest.approx(expected)
