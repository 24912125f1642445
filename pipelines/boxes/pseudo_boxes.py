"""Pseudo-boxes from anomaly maps: category thresholds, masks, components, the best ten, NMS (Eq. 9–11).

The rules beside the paper's are in `outstanding.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from cluster.errors import UserError
from pipelines.boxes.outstanding import (
    Raised,
    gap_pixels,
    kept_regions,
    raised_regions,
    standardised,
)
from pipelines.boxes.region import Region
from pipelines.boxes.section import PseudoBoxSettings, RegionSettings
from pipelines.boxes.suppression import unsuppressed_few
from pipelines.images.components import components
from pipelines.maps import Floats, upsample

Values = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class CategoryThreshold:
    """Statistics of one category.

    Attributes:
        images: number of maps they come from.
        mean_max: mean over images of max(M) (Eq. 10).
        threshold: T_c = mean_max − C (Eq. 9).
        delta: image score below which an image counts as normal.
    """

    category: str
    images: int
    mean_max: float
    threshold: float
    delta: float


@dataclass(frozen=True)
class PseudoBox:
    """A rectangle in pixels of the original image (x1, y1 exclusive) with its highest anomaly value."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float


def otsu(scores: Values) -> float:
    """Otsu's threshold of a sample: the cut that maximises the variance between the two sides.

    Returns:
        A value halfway between two neighbouring scores. The minimum when all are equal: nothing is below it,
        so no image counts as normal for lack of evidence.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    if ordered[0] == ordered[-1]:
        return float(ordered[0])
    count = np.arange(1, len(ordered))
    below = np.cumsum(ordered)[:-1]
    above = ordered.sum() - below
    rest = len(ordered) - count
    between = count * rest * (below / count - above / rest) ** 2
    between[ordered[1:] == ordered[:-1]] = -1.0  # no cut between equal scores
    best = int(between.argmax())
    return float((ordered[best] + ordered[best + 1]) / 2)


def category_threshold(
    category: str, map_maxima: Values, scores: Values, settings: PseudoBoxSettings
) -> CategoryThreshold:
    """A category's threshold and δ from all its maps (Eq. 9, 10).

    Args:
        category: the category's name.
        map_maxima: every image's max(M).
        scores: every image's score A.
        settings: settings with C and δ.

    Raises:
        UserError: a maximum or score is no number: it would leave the category without any box.
    """
    maxima = np.asarray(map_maxima, dtype=np.float64)
    if not (np.isfinite(maxima).all() and np.isfinite(np.asarray(scores, dtype=np.float64)).all()):
        raise UserError(
            f'Anomaly maps of the category "{category}" hold values that are no numbers; make the maps '
            "again, with maps.precision=fp32 if it was another."
        )
    mean_max = float(np.mean(maxima))
    delta = otsu(scores) if settings.delta == "auto" else settings.delta
    return CategoryThreshold(category, len(maxima), mean_max, mean_max - settings.c, delta)


def anomaly_mask(anomaly_map: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Eq. 11: B = (M ≥ T_c), bool, of the map's shape."""
    return anomaly_map >= np.float32(threshold)


def regions(full: Floats, threshold: float) -> list[Region]:
    """The 8-connected regions of B (Eq. 11), best first; ties are ordered by place.

    Args:
        full: M at the image's size, (H, W).
        threshold: T_c.
    """
    connected = []
    for y, x, inside in components(anomaly_mask(full, threshold)):
        height, width = inside.shape
        connected.append(Region(x, y, inside, float(full[y : y + height, x : x + width][inside].max())))
    return sorted(connected, key=lambda region: (-region.peak, region.y, region.x))


def smallest_area(min_area: int | Literal["released"], width: int, height: int) -> int:
    """Pixels below which a component is dropped; see `PseudoBoxSettings.min_area`."""
    return max((height // 100) * (width // 100), 10) if min_area == "released" else min_area


def pseudo_boxes(
    anomaly_map: Floats,
    score: float,
    *,
    width: int,
    height: int,
    threshold: CategoryThreshold,
    settings: PseudoBoxSettings,
) -> list[PseudoBox]:
    """Boxes of one image, best first; empty for a normal image (A < δ).

    See `pseudo_regions`, whose regions they are.
    """
    regions_of_image = pseudo_regions(
        anomaly_map, score, width=width, height=height, threshold=threshold, settings=settings
    )
    return [box for box, _ in regions_of_image]


def pseudo_regions(
    anomaly_map: Floats,
    score: float,
    *,
    width: int,
    height: int,
    threshold: CategoryThreshold,
    settings: PseudoBoxSettings,
) -> list[tuple[PseudoBox, Region]]:
    """Boxes of one image with the regions that they were drawn around, best first; empty for a normal image.

    Args:
        anomaly_map: M on its grid, (rows, columns).
        score: image score A.
        width: the original image's width in pixels.
        height: the original image's height in pixels.
        threshold: threshold of the image's category.
        settings: the method's other settings.

    Returns:
        At most `top_k` (of another rule `most_regions`) boxes, scored with the maximum of M inside their
        region.

    Raises:
        UserError: the map holds values that are no numbers, which rules beside the paper's measure; the rule
            is `auto`, which no single map decides.
    """
    if settings.rule == "auto":
        raise UserError(
            "boxes.rule=auto is decided by an audit of a project's images: run agssp boxes with it, or give "
            "a rule here."
        )
    if score < threshold.delta:
        return []
    return cut_regions(MapCuts(anomaly_map, width, height), threshold.threshold, settings)


class MapCuts:
    """The regions of one map, found once for each cut, so that many settings share them.

    Args:
        anomaly_map: M on the patch grid, (g, g).
        width, height: the image's sides in pixels.
    """

    def __init__(self, anomaly_map: Floats, width: int, height: int) -> None:
        self.anomaly_map, self.width, self.height = anomaly_map, width, height
        self._paper: dict[float, list[Region]] = {}
        self._raised: dict[tuple[float, int], list[Raised]] = {}

    @cached_property
    def full(self) -> Floats:
        """M at the image's size, (H, W)."""
        return upsample(self.anomaly_map, self.width, self.height)

    @cached_property
    def standardised(self) -> Floats:
        """Z at the image's size, (H, W)."""
        return upsample(standardised(self.anomaly_map), self.width, self.height)

    def regions(self, threshold: float) -> list[Region]:
        """Those of Eq. 11, see `regions`."""
        if threshold not in self._paper:
            self._paper[threshold] = regions(self.full, threshold)
        return self._paper[threshold]

    def raised(self, settings: RegionSettings, low: float) -> list[Raised]:
        """Those above a cut of Z, see `raised_regions`."""
        key = low, gap_pixels(settings, self.width, self.height)
        if key not in self._raised:
            self._raised[key] = raised_regions(self.full, self.standardised, *key)
        return self._raised[key]


def cut_boxes(cuts: MapCuts, threshold: float, settings: PseudoBoxSettings) -> list[PseudoBox]:
    """Boxes of one map that isn't below δ, best first; see `pseudo_boxes`."""
    return [box for box, _ in cut_regions(cuts, threshold, settings)]


def cut_regions(
    cuts: MapCuts, threshold: float, settings: PseudoBoxSettings
) -> list[tuple[PseudoBox, Region]]:
    """Boxes and regions of one map that isn't below δ, best first; see `pseudo_regions`.

    Args:
        cuts: the map's regions.
        threshold: T_c, which only the paper's rule reads.
        settings: the rule and its settings.
    """
    width, height = cuts.width, cuts.height
    if settings.rule == "paper":
        smallest = smallest_area(settings.min_area, width, height)
        kept = [region for region in cuts.regions(threshold) if region.area >= smallest]
        kept = kept[: settings.top_k]
    elif settings.rule == "standardised":
        one = settings.standardised
        kept = kept_regions(cuts.raised(one, one.cut), width, height, one, one.cut)
    else:
        both = settings.hysteresis
        kept = kept_regions(cuts.raised(both, both.low), width, height, both, both.high)
    boxes = [(PseudoBox(*region.corners, region.peak), region) for region in kept]
    if len(boxes) < 2:
        return boxes
    corners = np.array([region.corners for region in kept], np.float64).reshape(-1, 4)
    return [boxes[index] for index in unsuppressed_few(corners, settings.nms_iou)]
