"""Crops hold defects as often as promised, and image, masks and boxes stay over each other."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings, strategies as st
from scipy import stats

from training.dense.cropping import (
    IGNORED,
    MIN_VISIBLE,
    Patch,
    Window,
    choose_window,
    flipped,
    holds,
    semantic_of,
    tiles,
)

Mask = npt.NDArray[np.bool_]


@st.composite
def objects(draw: st.DrawFn, *, width: int, height: int) -> list[Patch]:
    """Up to four objects with random pixels, which may lie over each other."""
    found = []
    for label in range(draw(st.integers(1, 4))):
        w, h = draw(st.integers(1, min(20, width))), draw(st.integers(1, min(20, height)))
        left, top = draw(st.integers(0, width - w)), draw(st.integers(0, height - h))
        seed = draw(st.integers(0, 2**31 - 1))
        mask = np.random.default_rng(seed).random((h, w)) < 0.4
        mask[0, 0] = mask[-1, -1] = True  # the mask fills its rectangle
        mask[-1, 0] = True
        box = float(left), float(top), float(left + w), float(top + h)
        found.append(Patch(label, box, left, top, mask))
    return found


@st.composite
def scenes(draw: st.DrawFn) -> tuple[int, int, int, list[Patch]]:
    width, height = draw(st.integers(8, 90)), draw(st.integers(8, 60))
    return width, height, draw(st.integers(4, 70)), draw(objects(width=width, height=height))


def painted(patches: list[Patch], width: int, height: int) -> list[Mask]:
    """Each object's mask in the whole image, by plain assignment."""
    found = []
    for patch in patches:
        assert patch.mask is not None
        whole = np.zeros((height, width), np.bool_)
        for y, x in zip(*np.nonzero(patch.mask), strict=True):
            whole[patch.top + y, patch.left + x] = True
        found.append(whole)
    return found


def free_windows(defective: Mask, side: int) -> list[tuple[int, int]]:
    """Corners of all windows without a defect, one by one."""
    height, width = defective.shape
    return [
        (left, top)
        for top in range(max(0, height - side) + 1)
        for left in range(max(0, width - side) + 1)
        if not defective[top : top + side, left : left + side].any()
    ]


@settings(max_examples=60, deadline=None)
@given(scene=scenes(), seed=st.integers(0, 2**31 - 1))
def test_image_masks_and_boxes_stay_aligned(scene: tuple[int, int, int, list[Patch]], seed: int) -> None:
    width, height, side, patches = scene
    rng = np.random.default_rng(seed)
    window = choose_window((width, height), patches, side, 0.5, rng)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x, y, x + y], axis=-1).astype(np.uint8)  # a pixel's colour tells its place
    cut, labels = window.image(image), window.semantic(semantic_of(patches, width, height))
    assert cut.shape == (side, side, 3)
    inside = labels != IGNORED
    rows, columns = np.nonzero(inside)
    np.testing.assert_array_equal(cut[rows, columns, 0], columns + window.left)
    np.testing.assert_array_equal(cut[rows, columns, 1], rows + window.top)
    assert inside.sum() == min(side, width) * min(side, height)
    for patch, whole in zip(patches, painted(patches, width, height), strict=True):
        expected = np.zeros((side, side), np.bool_)
        part = whole[window.top : window.top + side, window.left : window.left + side]
        expected[: part.shape[0], : part.shape[1]] = part
        seen = window.patch(patch)
        if seen is None:
            assert not expected.any()
            continue
        (found,) = painted([seen], side, side)
        np.testing.assert_array_equal(found, expected)
        where = np.nonzero(expected)
        assert seen.box == (where[1].min(), where[0].min(), where[1].max() + 1, where[0].max() + 1)
        assert seen.stray == (expected.sum() < MIN_VISIBLE * whole.sum())


@settings(max_examples=25, deadline=None)
@given(scene=scenes(), probability=st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), seed=st.integers(0, 2**20))
def test_the_promised_share_of_crops_holds_a_defect(
    scene: tuple[int, int, int, list[Patch]], probability: float, seed: int
) -> None:
    width, height, side, patches = scene
    defective = np.any(painted(patches, width, height), axis=0)
    free = free_windows(defective, side)
    assume(free)
    draws, rng = 400, np.random.default_rng(seed)
    held = 0
    for _ in range(draws):
        window = choose_window((width, height), patches, side, probability, rng)
        part = defective[window.top : window.top + side, window.left : window.left + side]
        assert any(holds(window, patch, (width, height)) for patch in patches) == part.any()
        held += bool(part.any())
    # Two-sided binomial test: a false alarm once in 10⁹ examples.
    assert stats.binomtest(held, draws, probability).pvalue > 1e-9


@settings(max_examples=30, deadline=None)
@given(scene=scenes(), seed=st.integers(0, 2**20))
def test_without_a_free_window_every_crop_holds_a_defect(
    scene: tuple[int, int, int, list[Patch]], seed: int
) -> None:
    width, height, side, patches = scene
    defective = np.any(painted(patches, width, height), axis=0)
    free = free_windows(defective, side)
    window = choose_window((width, height), patches, side, 0.0, np.random.default_rng(seed))
    part = defective[window.top : window.top + side, window.left : window.left + side]
    assert part.any() == (not free)
    assert not free or (window.left, window.top) in free


def test_free_windows_are_drawn_uniformly_where_they_are_rare() -> None:
    """All of a 30×30 image is defective but a 12×12 corner: 9 free windows of 10 px among 441."""
    mask = np.ones((30, 30), np.bool_)
    mask[18:, 18:] = False
    patch = Patch(0, (0, 0, 30, 30), 0, 0, mask)
    rng = np.random.default_rng(0)
    found = [choose_window((30, 30), [patch], 10, 0.0, rng) for _ in range(900)]
    counts = np.zeros((3, 3))
    for window in found:
        counts[window.top - 18, window.left - 18] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 1e-6


def test_small_objects_are_seen_as_often_as_large_ones() -> None:
    large = Patch(0, (0, 0, 40, 40), 0, 0, np.ones((40, 40), np.bool_))
    small = Patch(1, (150, 50, 152, 52), 150, 50, np.ones((2, 2), np.bool_))
    rng = np.random.default_rng(1)
    windows = [choose_window((200, 60), [large, small], 16, 1.0, rng) for _ in range(600)]
    share = np.mean([holds(window, small, (200, 60)) for window in windows])
    assert 0.42 < share < 0.58


@settings(max_examples=40, deadline=None)
@given(scene=scenes(), across=st.booleans(), down=st.booleans())
def test_flips_move_pixels_and_boxes_alike(
    scene: tuple[int, int, int, list[Patch]], across: bool, down: bool
) -> None:
    width, height, _, patches = scene
    for patch, whole in zip(patches, painted(patches, width, height), strict=True):
        turned = whole[:: -1 if down else 1, :: -1 if across else 1]
        moved = flipped(patch, (width, height), across=across, down=down)
        (found,) = painted([moved], width, height)
        np.testing.assert_array_equal(found, turned)
        where = np.nonzero(turned)
        assert moved.box == (where[1].min(), where[0].min(), where[1].max() + 1, where[0].max() + 1)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 200), height=st.integers(1, 200), side=st.integers(1, 64), share=st.floats(0, 0.9)
)
def test_tiles_cover_every_pixel_and_stay_inside(width: int, height: int, side: int, share: float) -> None:
    covered = np.zeros((height, width), np.int64)
    for window in tiles(width, height, side, share):
        assert window.left + side <= max(width, side)
        assert window.top + side <= max(height, side)
        covered[window.top : window.top + side, window.left : window.left + side] += 1
    assert covered.min() >= 1


@pytest.mark.parametrize("size", [(1600, 256), (4096, 3000)])
def test_strips_and_4k_images(size: tuple[int, int]) -> None:
    spot = Patch(0, (1500, 200, 1503, 204), 1500, 200, np.ones((4, 3), np.bool_))
    rng = np.random.default_rng(2)
    for probability in (0.0, 1.0):
        for _ in range(50):
            window = choose_window(size, [spot], 224, probability, rng)
            assert holds(window, spot, size) == bool(probability)
            assert window.left + 224 <= size[0]
            assert window.top + 224 <= size[1]


def test_boxes_without_masks_are_clipped_or_dropped() -> None:
    window = Window(10, 10, 20, 20)
    seen = window.patch(Patch(0, (5.5, 12.0, 15.5, 18.0)))
    assert seen is not None
    assert seen.box == (0.0, 2.0, 5.5, 8.0)
    assert window.patch(Patch(0, (0.0, 12.0, 10.5, 18.0))) is None
