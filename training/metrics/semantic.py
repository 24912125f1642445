"""Intersection over union of semantic maps, from counts of pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.models.segmenters import IGNORED

BACKGROUND = "background"
ClassMap = npt.NDArray[np.uint8]


@dataclass
class PixelCounts:
    """Pixels by true and found class, over all images together.

    Attributes:
        classes: names in label order, without the background, which is class 0.
        counts: (1 + classes, 1 + classes) int64, rows the truth.
    """

    classes: Sequence[str]
    counts: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.classes) + 1
        self.counts = np.zeros((size, size), np.int64)

    def add(self, truth: ClassMap, found: ClassMap) -> None:
        """Count an image; pixels whose truth is `IGNORED` don't count.

        Args:
            truth, found: (H, W) class numbers.
        """
        size = len(self.counts)
        known = truth != IGNORED
        pairs = truth[known].astype(np.int64) * size + found[known]
        self.counts += np.bincount(pairs, minlength=size * size).reshape(size, size)

    def iou(self) -> npt.NDArray[np.float64]:
        """(1 + classes,) IoU of each class; NaN for a class neither present nor found."""
        both = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - both
        with np.errstate(invalid="ignore"):
            return np.where(union > 0, both / union, np.nan)

    def figures(self) -> dict[str, float]:
        """`miou` over all classes with the background, `miou_defects` without it, and `iou_CLASS` of each.

        Classes neither present nor found have no figure and do not enter the means.
        """
        ious = self.iou()
        named = dict(zip((BACKGROUND, *self.classes), ious.tolist(), strict=True))
        figures = {f"iou_{name}": value for name, value in named.items() if not np.isnan(value)}
        for name, values in (("miou", ious), ("miou_defects", ious[1:])):
            if not np.isnan(values).all():
                figures[name] = float(np.nanmean(values))
        return figures
