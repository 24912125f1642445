"""Tiles cover a plane, and their weights join them without a seam."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings, strategies as st

from pipelines.images.tiling import taper, tile_corners


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 120), height=st.integers(1, 120), side=st.integers(1, 50), overlap=st.floats(0, 0.9)
)
def test_tiles_cover_every_cell_stay_inside_and_share_what_was_asked(
    width: int, height: int, side: int, overlap: float
) -> None:
    covered = np.zeros((height, width), np.int64)
    corners = tile_corners(width, height, side, overlap)
    for left, top in corners:
        assert 0 <= left <= max(0, width - side)
        assert 0 <= top <= max(0, height - side)
        covered[top : top + side, left : left + side] += 1
    assert covered.all()
    assert len(set(corners)) == len(corners) or min(width, height) <= side
    for place in (0, 1):
        places = sorted({corner[place] for corner in corners})
        for before, after in pairwise(places):
            assert before + side - after >= min(side - 1, overlap * side) - 1e-9


@given(height=st.integers(1, 30), width=st.integers(1, 30))
def test_weights_rise_from_the_border_to_the_middle_and_are_the_same_mirrored(
    height: int, width: int
) -> None:
    weights = taper(height, width)
    assert weights.dtype == np.float32
    for y in range(height):
        for x in range(width):
            assert weights[y, x] == min(y + 0.5, height - y - 0.5) * min(x + 0.5, width - x - 0.5) > 0
