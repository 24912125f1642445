"""Pictures at another size: no line is lost where they shrink, however the other side changes."""

import cv2
import numpy as np
import numpy.typing as npt
from hypothesis import given, settings, strategies as st

from pipelines.images import resized

SIDES = st.integers(8, 90)


def shares(length: int, wanted: int) -> npt.NDArray[np.float64]:
    """(wanted, length): the share of each new pixel that each old one covers, by plain overlaps."""
    step = length / wanted
    starts = np.arange(wanted)[:, None] * step
    old = np.arange(length)[None]
    common = np.minimum(starts + step, old + 1.0) - np.maximum(starts, old)
    covered: npt.NDArray[np.float64] = np.maximum(common, 0.0) / step
    return covered


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES, st.integers(0, 9))
def test_areas_are_those_of_plain_overlaps(
    rows: int, columns: int, height: int, width: int, seed: int
) -> None:
    values = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    # Where a side shrinks; a side that grows is left to OpenCV, which is right there.
    down = shares(rows, height) if height < rows else np.eye(rows)
    across = shares(columns, width) if width < columns else np.eye(columns)
    wanted = (down @ values @ across.T).astype(np.float32)
    if wanted.shape != (height, width):
        wanted = cv2.resize(wanted, (width, height), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(resized(values, width, height), wanted, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES, st.data())
def test_a_pixel_is_found_wherever_it_lies(
    rows: int, columns: int, height: int, width: int, data: st.DataObject
) -> None:
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    mask = np.zeros((rows, columns), np.float32)
    mask[row, column] = 1
    found = resized(mask, width, height, by_areas=True) > 1e-6
    touched = np.outer(shares(rows, height)[:, row] > 1e-6, shares(columns, width)[:, column] > 1e-6)
    np.testing.assert_array_equal(found, touched)


def test_a_border_that_both_grids_share_is_kept() -> None:
    for old, new in ((9, 51), (10, 74), (12, 34), (63, 81)):
        values = np.eye(old, dtype=np.float32)
        for grown in (resized(values, new, old, by_areas=True), resized(values, old, new, by_areas=True).T):
            np.testing.assert_allclose(grown, shares(old, new).T, atol=1e-6)
    whole = resized(np.array([[10, 21]], np.uint8), 3, 1, by_areas=True)
    np.testing.assert_array_equal(whole, [[10, 16, 21]])
