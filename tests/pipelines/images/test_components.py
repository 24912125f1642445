"""Connected regions against a flood fill written out."""

import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipelines.annotations.mask_boxes import boxes_of_mask
from pipelines.images.components import components


def flood(mask: np.ndarray) -> set[frozenset[tuple[int, int]]]:
    """The 8-connected regions as sets of pixels."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = set()
    while left:
        region, border = set(), [left.pop()]
        while border:
            y, x = border.pop()
            region.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            border += near
        regions.add(frozenset(region))
    return regions


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()))
def test_components_are_the_flooded_regions(mask: np.ndarray) -> None:
    found = list(components(mask))
    for _, _, region in found:
        edges = (region[0], region[-1], region[:, 0], region[:, -1])  # the box touches its region
        assert all(edge.any() for edge in edges)
    pixels = [
        frozenset((top + int(y), left + int(x)) for y, x in np.argwhere(region))
        for top, left, region in found
    ]
    assert len(pixels) == len(set(pixels))
    assert set(pixels) == flood(mask)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans()))
def test_components_come_in_the_order_of_their_first_pixels(mask: np.ndarray) -> None:
    firsts = [
        min((top + int(y), left + int(x)) for y, x in np.argwhere(region))
        for top, left, region in components(mask)
    ]
    assert firsts == sorted(min(region) for region in flood(mask))


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.booleans()))
def test_boxes_are_ordered_by_area_and_then_by_their_first_pixels(mask: np.ndarray) -> None:
    regions = sorted(flood(mask), key=lambda region: (-len(region), min(region)))
    wanted = [
        (
            min(x for _, x in region),
            min(y for y, _ in region),
            max(x for _, x in region) + 1,
            max(y for y, _ in region) + 1,
        )
        for place, region in enumerate(regions)
        if place == 0 or len(region) >= 9
    ]
    assert boxes_of_mask(mask) == wanted


def test_a_region_of_a_higher_row_comes_first() -> None:
    mask = np.array([[0, 0, 0, 1], [1, 0, 0, 0]], np.bool_)
    assert [(top, left) for top, left, _ in components(mask)] == [(0, 3), (1, 0)]


def test_an_empty_mask_has_none() -> None:
    assert list(components(np.zeros((5, 4), np.bool_))) == []
