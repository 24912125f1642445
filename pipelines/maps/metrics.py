"""How well anomaly maps tell defects apart: image AUROC, pixel AUROC and AUPRO."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.maps.reading import upsample

BINS = 1 << 16
FPR_LIMIT = 0.3  # AUPRO's limit, as in MVTec AD's evaluation


def image_auroc(scores: Sequence[float] | npt.NDArray[np.floating], defective: Sequence[bool]) -> float:
    """Area under the ROC curve of image scores, 0…1.

    Raises:
        ValueError: only one of the two classes is present.
    """
    from sklearn.metrics import roc_auc_score  # takes two seconds; not needed without masks

    labels = np.asarray(defective, np.bool_)
    _require_both(labels.sum(), (~labels).sum(), "images")
    return float(roc_auc_score(labels, np.asarray(scores, np.float64)))


def pixel_auroc(maps: Sequence[npt.NDArray[np.floating]], masks: Sequence[npt.NDArray[np.bool_]]) -> float:
    """Area under the ROC curve over all pixels of all images, each at its mask's size, 0…1.

    Memory is bounded by one image and two histograms of 65,536 score bins between the least and greatest map
    value; pixels of one bin count as ties, so the error is at most half the sum over bins of (share of the
    defective pixels) × (share of the normal pixels): below 1e-4 unless scores pile up in few bins.

    Args:
        maps: (rows, columns) each.
        masks: (H, W) bool each, True where defective.

    Raises:
        ValueError: not as many masks as maps, or only one class of pixel.
    """
    from sklearn.metrics import roc_auc_score

    counts = np.zeros((2, BINS), np.int64)
    for bins, mask in _binned(maps, masks):
        counts[1] += np.bincount(bins[mask], minlength=BINS)
        counts[0] += np.bincount(bins[~mask], minlength=BINS)
    _require_both(counts[1].sum(), counts[0].sum(), "pixels")
    centres = np.tile(np.arange(BINS), 2)
    labels = np.repeat([0, 1], BINS)
    weights = counts.reshape(-1)
    used = weights > 0
    return float(roc_auc_score(labels[used], centres[used], sample_weight=weights[used]))


def aupro(maps: Sequence[npt.NDArray[np.floating]], masks: Sequence[npt.NDArray[np.bool_]]) -> float:
    """Area under the per-region overlap curve up to a false-positive rate of 0.3, divided by 0.3; 0…1.

    At each threshold: the share of every defect region (8-connected) that is found, averaged over all regions
    of all images, over the share of all normal pixels that are called defective (Bergmann et al., MVTec AD,
    IJCV 2021, section 5.2). Small defects weigh as much as large ones. Memory and ties are as in
    `pixel_auroc`; the curve is straight between bins and cut at the limit.

    Args:
        maps: (rows, columns) each.
        masks: (H, W) bool each, True where defective.

    Raises:
        ValueError: not as many masks as maps, or only one class of pixel.
    """
    normal, region_shares, regions = np.zeros(BINS, np.int64), np.zeros(BINS), 0
    for bins, mask in _binned(maps, masks):
        normal += np.bincount(bins[~mask], minlength=BINS)
        count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        inside = numbers[mask]
        areas = np.bincount(inside, minlength=count)
        region_shares += np.bincount(bins[mask], weights=1 / areas[inside], minlength=BINS)
        regions += count - 1
    _require_both(regions, normal.sum(), "pixels")
    # From the highest threshold down.
    false_positives = np.concatenate([[0], np.cumsum(normal[::-1]) / normal.sum()])
    overlap = np.concatenate([[0], np.cumsum(region_shares[::-1]) / regions])
    inner = false_positives < FPR_LIMIT
    at_limit = np.interp(FPR_LIMIT, false_positives, overlap)
    x, y = np.append(false_positives[inner], FPR_LIMIT), np.append(overlap[inner], at_limit)
    return float(np.trapezoid(y, x) / FPR_LIMIT)


def pixel_figures(
    maps: Sequence[npt.NDArray[np.floating]], masks: Sequence[npt.NDArray[np.bool_]]
) -> dict[str, float | None]:
    """`pixel_auroc` and `aupro`; None of both where the masks have one class of pixel (all are full, say).

    Args:
        maps, masks: see `pixel_auroc`.
    """
    # A mask of both classes, as nearly all are, ends each search.
    if not any(mask.any() for mask in masks) or all(mask.all() for mask in masks):
        return {"pixel_auroc": None, "aupro": None}
    return {"pixel_auroc": pixel_auroc(maps, masks), "aupro": aupro(maps, masks)}


class Masked(Protocol):
    """Something with a pixel mask."""

    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W), True where defective."""


class Masks(Sequence[npt.NDArray[np.bool_]]):
    """Many masks, each read on access, so that a large set needs no memory."""

    def __init__(self, images: Sequence[Masked]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    @overload
    def __getitem__(self, index: int) -> npt.NDArray[np.bool_]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[npt.NDArray[np.bool_]]: ...
    def __getitem__(self, index: Any) -> Any:
        return Masks(self.images[index]) if isinstance(index, slice) else self.images[index].mask()


def _binned(
    maps: Sequence[npt.NDArray[np.floating]], masks: Sequence[npt.NDArray[np.bool_]]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """Each map at its mask's size as bin numbers between the least and greatest value, and the mask."""
    low = min(float(grid_map.min()) for grid_map in maps)
    high = max(float(grid_map.max()) for grid_map in maps)
    for grid_map, mask in zip(maps, masks, strict=True):
        height, width = mask.shape
        full = upsample(np.asarray(grid_map, np.float32), width, height).astype(np.float64)
        bins = np.clip((full - low) * (BINS / max(high - low, 1e-12)), 0, BINS - 1).astype(np.int64)
        yield bins, mask


def _require_both(defective: int, normal: int, what: str) -> None:
    if not defective or not normal:
        raise ValueError(f"This metric needs defective and normal {what}, not {defective} and {normal}")
