"""AUROC against the pairwise definition, AUPRO against the curve drawn threshold by threshold."""

import numpy as np
import pytest
from scipy import ndimage

from pipelines.maps.metrics import aupro, image_auroc, pixel_auroc, pixel_figures
from pipelines.maps.reading import upsample


def pairwise(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive outscores a negative, ties half."""
    difference = positive[:, None] - negative[None]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def test_image_auroc_is_the_pairwise_probability() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8, 0.3])
    labels = [False, True, False, True, False]
    assert image_auroc(scores, labels) == pytest.approx(pairwise(scores[labels], scores[np.invert(labels)]))


def test_pixel_auroc_is_exact_to_the_stated_error() -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random((5, 5)).astype(np.float32) for _ in range(3)]
    masks = [rng.random(shape) < 0.3 for shape in ((20, 30), (17, 9), (25, 25))]
    full = [upsample(grid_map, *reversed(mask.shape)) for grid_map, mask in zip(maps, masks, strict=True)]
    positive = np.concatenate([f[m] for f, m in zip(full, masks, strict=True)])
    negative = np.concatenate([f[~m] for f, m in zip(full, masks, strict=True)])
    assert pixel_auroc(maps, masks) == pytest.approx(pairwise(positive, negative), abs=1e-4)


def test_pixel_auroc_knows_perfect_inverted_and_constant_maps() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[:, 4:] = True
    assert pixel_auroc([mask.astype(np.float32)], [mask]) == 1
    assert pixel_auroc([1 - mask.astype(np.float32)], [mask]) == 0
    assert pixel_auroc([np.ones((8, 8), np.float32)], [mask]) == 0.5


def curve_area(full: list[np.ndarray], masks: list[np.ndarray]) -> float:
    """AUPRO as MVTec AD defines it: every distinct score is a threshold; trapezoids up to FPR 0.3."""
    regions = []
    for scores, mask in zip(full, masks, strict=True):
        numbers, count = ndimage.label(mask, np.ones((3, 3)))
        regions += [scores[numbers == number] for number in range(1, count + 1)]
    normal = np.concatenate([scores[~mask] for scores, mask in zip(full, masks, strict=True)])
    area, before = 0.0, (0.0, 0.0)
    for threshold in sorted(set(np.concatenate([f.ravel() for f in full]).tolist()), reverse=True):
        fpr = float(np.mean(normal >= threshold))
        pro = float(np.mean([np.mean(region >= threshold) for region in regions]))
        if fpr > 0.3:
            part = (0.3 - before[0]) / (fpr - before[0])
            fpr, pro = 0.3, before[1] + part * (pro - before[1])
        area += (fpr - before[0]) * (pro + before[1]) / 2
        before = (fpr, pro)
        if fpr == 0.3:
            break
    return area / 0.3


@pytest.mark.parametrize("seed", range(4))
def test_aupro_is_the_area_of_the_curve(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = ((20, 30), (17, 9), (25, 25), (12, 12))
    masks = [ndimage.binary_dilation(rng.random(shape) < 0.02) for shape in shapes]
    masks[-1][:] = False  # a normal image
    maps = []
    for mask in masks:
        coarse = mask[:: -(-len(mask) // 5), :: -(-mask.shape[1] // 5)]
        maps.append((rng.random(coarse.shape) + 0.5 * coarse).astype(np.float32))
    full = [upsample(grid_map, *reversed(mask.shape)) for grid_map, mask in zip(maps, masks, strict=True)]
    expected = curve_area(full, masks)
    assert 0.15 < expected < 0.95
    assert aupro(maps, masks) == pytest.approx(expected, abs=2e-4)


def test_aupro_knows_perfect_inverted_and_constant_maps_and_weighs_regions_alike() -> None:
    mask = np.zeros((8, 8), np.bool_)
    mask[:, 6:] = True
    assert aupro([mask.astype(np.float32)], [mask]) == 1
    assert aupro([1 - mask.astype(np.float32)], [mask]) == 0
    assert aupro([np.ones((8, 8), np.float32)], [mask]) == pytest.approx(0.15)  # chance: half of 0.3
    two = np.zeros((8, 8), np.bool_)
    two[0, 0] = two[4:, 4:] = True  # one pixel and sixteen
    found = np.zeros((8, 8), np.float32)
    found[0, 0] = 1
    rest = 0.3 / 2 / 2  # the other half rises from 0 to 1 over FPR 0…1
    assert aupro([found], [two]) == pytest.approx(0.5 + rest)


def test_upsample_is_bilinear_between_cell_centres() -> None:
    result = upsample(np.array([[0.0, 1.0]], np.float32), 4, 1)
    np.testing.assert_allclose(result, [[0, 0.25, 0.75, 1]])


def test_one_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="defective and normal images"):
        image_auroc([0.1, 0.2], [True, True])
    with pytest.raises(ValueError, match="defective and normal pixels"):
        pixel_auroc([np.zeros((2, 2))], [np.zeros((4, 4), np.bool_)])
    with pytest.raises(ValueError, match="defective and normal pixels"):
        aupro([np.zeros((2, 2))], [np.ones((4, 4), np.bool_)])
    with pytest.raises(ValueError, match="zip"):
        pixel_auroc([np.zeros((2, 2))], [])


def test_pixels_of_one_class_have_no_figure() -> None:
    """Labels of whole images as masks: every pixel is defective, and nothing can be told apart."""
    grid, full, none = np.eye(4, dtype=np.float32), np.ones((8, 8), np.bool_), np.zeros((8, 8), np.bool_)
    for masks in ([full], [full, full], [none], [none, none]):
        figures = pixel_figures([grid] * len(masks), masks)
        assert figures == {"pixel_auroc": None, "aupro": None}
    both = pixel_figures([grid, grid], [full, none])
    assert both == {
        "pixel_auroc": pixel_auroc([grid, grid], [full, none]),
        "aupro": aupro([grid, grid], [full, none]),
    }
