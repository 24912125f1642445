"""How well a head finds held-out defects: average precision and AUROC of pixels, from histograms."""

import numpy as np
import numpy.typing as npt

BINS = 2048

Counts = npt.NDArray[np.float64]


class PixelQuality:
    """Histograms of probabilities, of defective and of normal pixels; a pixel counts by its share of both."""

    def __init__(self) -> None:
        self.counts: Counts = np.zeros((2, BINS))

    def add(self, probability: npt.NDArray[np.floating], target: npt.NDArray[np.floating]) -> None:
        """Count pixels.

        Args:
            probability: any shape, 0…1.
            target: the share that is defective, 0…1, of the same shape.
        """
        bins = np.minimum((probability.ravel() * BINS).astype(np.int64), BINS - 1)
        shares = target.ravel().astype(np.float64)
        for place, weights in enumerate((1 - shares, shares)):
            self.counts[place] += np.bincount(bins, weights, BINS)

    def average_precision(self) -> float:
        """Σ (R_i − R_{i−1})·P_i over falling thresholds, one a bin; NaN without a defective pixel."""
        normal, defective = np.cumsum(self.counts[:, ::-1], axis=1)
        if not defective[-1]:
            return float("nan")
        precision = defective / np.maximum(normal + defective, 1e-12)
        return float((np.diff(defective, prepend=0) * precision).sum() / defective[-1])

    def auroc(self) -> float:
        """Area under the ROC curve, ties by halves; NaN where one kind of pixel is absent."""
        normal, defective = self.counts
        if not normal.sum() or not defective.sum():
            return float("nan")
        below = np.cumsum(normal) - normal / 2
        return float((defective * below).sum() / (normal.sum() * defective.sum()))
