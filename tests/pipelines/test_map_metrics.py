"""AUROC against the pairwise definition."""

import numpy as np
import pytest

from pipelines.map_metrics import image_auroc, pixel_auroc
from pipelines.pseudo_boxes import upsample


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


def test_upsample_is_bilinear_between_cell_centres() -> None:
    result = upsample(np.array([[0.0, 1.0]], np.float32), 4, 1)
    np.testing.assert_allclose(result, [[0, 0.25, 0.75, 1]])


def test_one_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="defective and normal images"):
        image_auroc([0.1, 0.2], [True, True])
    with pytest.raises(ValueError, match="defective and normal pixels"):
        pixel_auroc([np.zeros((2, 2))], [np.zeros((4, 4), np.bool_)])
    with pytest.raises(ValueError, match="zip"):
        pixel_auroc([np.zeros((2, 2))], [])
