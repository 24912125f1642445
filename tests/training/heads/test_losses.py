"""Losses and figures of heads against plain numpy and scikit-learn."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from training.heads.examples import MASK_SIDE, labelled_mask, shrunk
from training.heads.losses import dice, focal, map_losses
from training.heads.quality import PixelQuality

Array = npt.NDArray[np.float64]


def arrays(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 3, (3, 6, 6)), (rng.random((3, 6, 6)) > 0.7).astype(np.float64)


def test_focal_loss_is_that_of_its_paper_on_masks_of_0_and_1() -> None:
    logits, target = arrays(0)
    p = 1 / (1 + np.exp(-logits))
    p_t = np.where(target == 1, p, 1 - p)
    expected = (-((1 - p_t) ** 2) * np.log(p_t)).mean()
    assert focal(torch.tensor(logits), torch.tensor(target)).item() == pytest.approx(expected, rel=1e-9)


def test_dice_loss_is_a_mean_over_images() -> None:
    logits, target = arrays(1)
    p = 1 / (1 + np.exp(-logits))
    each = [1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, target, strict=True)]
    assert dice(torch.tensor(p), torch.tensor(target)).item() == pytest.approx(np.mean(each), rel=1e-9)


def test_stages_are_summed_and_both_counts_the_normal_pixels_too() -> None:
    (first, target), (second, _) = arrays(2), arrays(3)
    y, stages = torch.tensor(target), [torch.tensor(first), torch.tensor(second)]
    losses = map_losses(torch.stack(stages, 1), y, both=True)
    assert losses["focal"].item() == pytest.approx(sum(focal(one, y).item() for one in stages))
    expected = sum((dice(one.sigmoid(), y) + dice(1 - one.sigmoid(), 1 - y)).item() for one in stages)
    assert losses["dice"].item() == pytest.approx(expected)


def test_pixel_figures_are_scikit_learns() -> None:
    rng = np.random.default_rng(4)
    target = (rng.random(4000) < 0.1).astype(np.float64)
    probability = np.clip(0.3 * target + rng.uniform(0, 0.7, 4000), 0, 1)
    quality = PixelQuality()
    for part in np.array_split(np.arange(4000), 3):
        quality.add(probability[part], target[part])
    # Ties within one of 2,048 bins are all that differs.
    assert quality.auroc() == pytest.approx(roc_auc_score(target, probability), abs=1e-3)
    assert quality.average_precision() == pytest.approx(
        average_precision_score(target, probability), abs=0.01
    )


def test_pixel_figures_are_no_numbers_without_a_defect() -> None:
    quality = PixelQuality()
    quality.add(np.array([0.2, 1.0]), np.zeros(2))
    assert np.isnan(quality.average_precision())
    assert np.isnan(quality.auroc())


def test_boxes_are_filled_where_no_mask_is_known_and_masks_shrink_by_share() -> None:
    box = {"x0": 10.0, "y0": 20.0, "x1": 10.2, "y1": 40.0, "label": "x"}
    label = {"image_id": "a", "boxes": [box], "mask": None, "ignored": []}
    mask = labelled_mask(label, 100, 60)  # type: ignore[arg-type]
    assert np.argwhere(mask).min(0).tolist() == [20, 10]
    assert np.argwhere(mask).max(0).tolist() == [39, 10]  # no thinner than a pixel
    quarter = np.zeros((2 * MASK_SIDE, 2 * MASK_SIDE), np.bool_)
    quarter[:2, 0] = True
    assert shrunk(quarter)[0, 0] == 128
    assert shrunk(quarter).sum() == 128
