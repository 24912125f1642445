"""Pseudo-boxes against a plainly written float64 reference (docs/method.md#pseudo-boxes, eq. 9–11)."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from cluster.errors import UserError
from pipelines.boxes.pseudo_boxes import (
    CategoryThreshold,
    PseudoBox,
    anomaly_mask,
    category_threshold,
    otsu,
    pseudo_boxes,
    regions,
)
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.maps.reading import upsample


def reference_upsample(grid: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Bilinear with half-pixel centres and clamped borders, by explicit loops."""
    rows, columns = grid.shape
    out = np.zeros((height, width))
    for y in range(height):
        sy = min(max((y + 0.5) * rows / height - 0.5, 0.0), rows - 1.0)
        y0 = int(np.floor(sy))
        y1 = min(y0 + 1, rows - 1)
        for x in range(width):
            sx = min(max((x + 0.5) * columns / width - 0.5, 0.0), columns - 1.0)
            x0 = int(np.floor(sx))
            x1 = min(x0 + 1, columns - 1)
            fy, fx = sy - y0, sx - x0
            top = grid[y0, x0] * (1 - fx) + grid[y0, x1] * fx
            bottom = grid[y1, x0] * (1 - fx) + grid[y1, x1] * fx
            out[y, x] = top * (1 - fy) + bottom * fy
    return out


def reference_components(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """8-connected regions by flood fill."""
    seen = np.zeros_like(mask)
    regions = []
    for y, x in np.argwhere(mask):
        if seen[y, x]:
            continue
        stack, region = [(int(y), int(x))], []
        seen[y, x] = True
        while stack:
            cy, cx = stack.pop()
            region.append((cy, cx))
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    ny, nx = cy + dy, cx + dx
                    inside = 0 <= ny < mask.shape[0] and 0 <= nx < mask.shape[1]
                    if inside and mask[ny, nx] and not seen[ny, nx]:
                        seen[ny, nx] = True
                        stack.append((ny, nx))
        regions.append(region)
    return regions


def reference_iou(a: PseudoBox, b: PseudoBox) -> float:
    w = max(0.0, min(a.x1, b.x1) - max(a.x0, b.x0))
    h = max(0.0, min(a.y1, b.y1) - max(a.y0, b.y0))
    area = (a.x1 - a.x0) * (a.y1 - a.y0) + (b.x1 - b.x0) * (b.y1 - b.y0) - w * h
    return w * h / area


def reference_boxes(
    grid: NDArray[np.float64],
    width: int,
    height: int,
    threshold: float,
    top_k: int,
    iou: float,
    min_area: int,
) -> list[PseudoBox]:
    full = reference_upsample(grid, width, height)
    found = []
    for region in reference_components(full >= threshold):
        if len(region) < min_area:
            continue
        ys, xs = [y for y, _ in region], [x for _, x in region]
        peak = max(full[y, x] for y, x in region)
        found.append(PseudoBox(min(xs), min(ys), max(xs) + 1, max(ys) + 1, peak))
    found = sorted(found, key=lambda box: -box.score)[:top_k]
    kept: list[PseudoBox] = []
    for box in found:
        if all(reference_iou(box, other) <= iou for other in kept):
            kept.append(box)
    return kept


def threshold_at(value: float, delta: float = 0.0) -> CategoryThreshold:
    return CategoryThreshold("plate", 1, value + 0.1, value, delta)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), cut=st.floats(0.3, 0.9), top_k=st.integers(1, 12), iou=st.floats(0.1, 0.9)
)
def test_boxes_equal_the_reference(seed: int, cut: float, top_k: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(3, 9))
    grid = rng.random((size, size)).astype(np.float32)
    width, height = int(rng.integers(20, 60)), int(rng.integers(20, 60))
    full = reference_upsample(grid.astype(np.float64), width, height)
    # A pixel within float32's rounding of the threshold may fall on either side; move the cut away from all.
    cut = float(cut + 1e-5) if np.abs(full - cut).min() < 1e-6 else cut
    configured = PseudoBoxSettings(top_k=top_k, nms_iou=iou, min_area=4)
    ours = pseudo_boxes(
        grid, 1.0, width=width, height=height, threshold=threshold_at(cut), settings=configured
    )
    plain = reference_boxes(grid.astype(np.float64), width, height, cut, top_k, iou, 4)
    # Peaks of different components may tie to within rounding; sets are compared, then the order of scores.
    key = lambda box: (box.x0, box.y0, box.x1, box.y1)  # noqa: E731
    assert sorted(map(key, ours)) == sorted(map(key, plain))
    np.testing.assert_allclose([b.score for b in ours], [b.score for b in plain], atol=1e-6)


@given(
    maxima=st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=50),
    c=st.floats(0, 1),
)
def test_threshold_is_the_mean_maximum_less_c(maxima: list[float], c: float) -> None:
    result = category_threshold("plate", maxima, maxima, PseudoBoxSettings(c=c, delta=0.5))
    total = 0.0
    for value in maxima:
        total += value
    assert result.mean_max == pytest.approx(total / len(maxima), abs=1e-12)
    assert result.threshold == pytest.approx(total / len(maxima) - c, abs=1e-12)
    assert (result.images, result.delta) == (len(maxima), 0.5)


def test_mask_includes_the_threshold_itself() -> None:
    assert anomaly_mask(np.array([[0.49, 0.5, 0.51]], np.float32), 0.5).tolist() == [[False, True, True]]


def test_upsampling_equals_the_reference() -> None:
    grid = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    np.testing.assert_allclose(
        upsample(grid, 23, 31), reference_upsample(grid.astype(np.float64), 23, 31), atol=1e-6
    )


def test_a_normal_image_has_no_boxes() -> None:
    grid = np.ones((4, 4), np.float32)
    configured = PseudoBoxSettings()
    below = pseudo_boxes(
        grid, 0.99, width=64, height=64, threshold=threshold_at(0.5, 1.0), settings=configured
    )
    at = pseudo_boxes(grid, 1.0, width=64, height=64, threshold=threshold_at(0.5, 1.0), settings=configured)
    assert below == []
    assert at == [PseudoBox(0, 0, 64, 64, 1.0)]


@pytest.mark.parametrize(("width", "height", "smallest"), [(100, 100, 10), (99, 5000, 10), (1200, 800, 96)])
def test_released_minimum_area(width: int, height: int, smallest: int) -> None:
    """max((h//100)·(w//100), 10) pixels; a component of exactly that many stays."""
    grid = np.zeros((height, width), np.float32)  # patch grid of the image's own size: no interpolation
    grid[5, 3 : 3 + smallest] = 1.0
    grid[50, 3 : 3 + smallest - 1] = 1.0
    found = pseudo_boxes(
        grid, 1.0, width=width, height=height, threshold=threshold_at(0.5), settings=PseudoBoxSettings()
    )
    assert [(box.y0, box.x1 - box.x0) for box in found] == [(5.0, float(smallest))]


@given(st.lists(st.floats(0, 3, allow_nan=False, width=32), min_size=2, max_size=30))
def test_otsu_maximises_the_between_class_variance(scores: list[float]) -> None:
    cut = otsu(scores)
    if len(set(scores)) == 1:
        assert cut == scores[0]
        return

    def between(at: float) -> float:
        low, high = [s for s in scores if s < at], [s for s in scores if s >= at]
        if not low or not high:
            return 0.0
        return len(low) * len(high) * (sum(low) / len(low) - sum(high) / len(high)) ** 2

    assert between(cut) == pytest.approx(max(between(s) for s in scores), rel=1e-6)


@given(seed=st.integers(0, 2**31 - 1), quantile=st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_regions_are_those_of_the_whole_image(seed: int, quantile: float) -> None:
    rng = np.random.default_rng(seed)
    full = upsample(rng.random((6, 6)).astype(np.float32), 37, 29)
    threshold = float(np.quantile(full, quantile))
    found = regions(full, threshold)
    count, labels = cv2.connectedComponents((full >= np.float32(threshold)).astype(np.uint8))
    assert len(found) == count - 1
    covered = np.zeros(full.shape, np.int32)
    for region in found:
        inside = np.zeros(full.shape, np.bool_)
        height, width = region.inside.shape
        inside[region.y : region.y + height, region.x : region.x + width] = region.inside
        covered += inside
        y, x = np.nonzero(inside)
        assert len(set(labels[y, x])) == 1
        assert region.corners == (x.min(), y.min(), x.max() + 1, y.max() + 1)
        assert region.area == len(x)
        assert region.peak == full[inside].max()
    assert np.array_equal(covered, labels > 0)
    assert [r.peak for r in found] == sorted((r.peak for r in found), reverse=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_map_of_no_numbers_does_not_leave_its_category_without_boxes(value: float) -> None:
    for maxima, scores in (([0.5, value], [0.5, 0.6]), ([0.5, 0.6], [value, 0.5])):
        with pytest.raises(UserError, match='maps of the category "plate" hold values that are no numbers'):
            category_threshold("plate", maxima, scores, PseudoBoxSettings())
