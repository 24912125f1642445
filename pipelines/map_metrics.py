"""How well anomaly maps tell defects apart: image and pixel AUROC."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from pipelines.pseudo_boxes import upsample

BINS = 1 << 16


def image_auroc(scores: Sequence[float] | npt.NDArray[np.floating], defective: Sequence[bool]) -> float:
    """Area under the ROC curve of image scores, 0…1.

    Raises:
        ValueError: only one of the two classes is present.
    """
    labels = np.asarray(defective, np.bool_)
    _require_both(labels.sum(), (~labels).sum(), "images")
    return float(roc_auc_score(labels, np.asarray(scores, np.float64)))


def pixel_auroc(maps: Sequence[npt.NDArray[np.floating]], masks: Sequence[npt.NDArray[np.bool_]]) -> float:
    """Area under the ROC curve over all pixels of all images, each at its mask's size, 0…1.

    Memory is bounded by one image and two histograms of 65,536 score bins between the least and greatest map
    value; pixels of one bin count as ties, so the error is at most half the sum over bins of (share of the
    defective pixels) × (share of the normal pixels): below 1e-4 unless scores pile up in few bins.

    Args:
        maps: (g, g) each.
        masks: (H, W) bool each, True where defective.

    Raises:
        ValueError: not as many masks as maps, or only one class of pixel.
    """
    low = min(float(grid_map.min()) for grid_map in maps)
    high = max(float(grid_map.max()) for grid_map in maps)
    counts = np.zeros((2, BINS), np.int64)
    for grid_map, mask in zip(maps, masks, strict=True):
        height, width = mask.shape
        full = upsample(np.asarray(grid_map, np.float32), width, height).astype(np.float64)
        bins = np.clip((full - low) * (BINS / max(high - low, 1e-12)), 0, BINS - 1).astype(np.int64)
        counts[1] += np.bincount(bins[mask], minlength=BINS)
        counts[0] += np.bincount(bins[~mask], minlength=BINS)
    _require_both(counts[1].sum(), counts[0].sum(), "pixels")
    centres = np.tile(np.arange(BINS), 2)
    labels = np.repeat([0, 1], BINS)
    weights = counts.reshape(-1)
    used = weights > 0
    return float(roc_auc_score(labels[used], centres[used], sample_weight=weights[used]))


def _require_both(defective: int, normal: int, what: str) -> None:
    if not defective or not normal:
        raise ValueError(f"AUROC needs defective and normal {what}, not {defective} and {normal}")
