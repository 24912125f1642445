"""Regions that stand out of their own image's map, by one cut or two: the rules beside the paper's.

Formulas: docs/method.md#other-rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.errors import UserError
from pipelines.boxes.region import Region
from pipelines.boxes.section import RegionSettings
from pipelines.images import joined_components
from pipelines.maps import Floats, upsample

Mask = npt.NDArray[np.bool_]


def standardised(anomaly_map: Floats) -> Floats:
    """Z = (M − median M) / σ(M) on the patch grid; 0 everywhere when all values are equal.

    Args:
        anomaly_map: M, (rows, columns).

    Raises:
        UserError: a value is no number.
    """
    values = anomaly_map.astype(np.float64)
    if not np.isfinite(values).all():
        raise UserError(
            "An anomaly map holds values that are no numbers; make the maps again, with maps.precision=fp32 "
            "if it was another."
        )
    if values.min() == values.max():  # the deviation of equal values may round to a little above 0
        return np.zeros(anomaly_map.shape, np.float32)
    return np.asarray((values - np.median(values)) / values.std(), np.float32)


def border_share(region: Region, width: int, height: int) -> float:
    """Share of an image's outermost pixels that a region covers, 0–1."""
    rows, columns = region.inside.shape
    inner = region.inside[
        (region.y == 0) : rows - (region.y + rows == height),
        (region.x == 0) : columns - (region.x + columns == width),
    ]
    outermost = width * height - max(width - 2, 0) * max(height - 2, 0)
    return (region.area - int(np.count_nonzero(inner))) / outermost


@dataclass(frozen=True)
class Raised:
    """A region above a cut of Z, and the largest Z inside."""

    region: Region
    top: float


def raised_regions(full: Floats, raised: Floats, low: float, gap: int) -> list[Raised]:
    """The regions of {Z ≥ low}, by their place.

    Args:
        full, raised: M and Z at the image's size, (H, W).
        low: cut in standard deviations above the median.
        gap: most pixels between regions that become one.
    """
    found = []
    for y, x, inside in joined_components(raised >= np.float32(low), gap):
        window = slice(y, y + inside.shape[0]), slice(x, x + inside.shape[1])
        region = Region(x, y, inside, float(full[window][inside].max()))
        found.append(Raised(region, float(raised[window][inside].max())))
    return found


def kept_regions(
    raised: Sequence[Raised], width: int, height: int, settings: RegionSettings, high: float
) -> list[Region]:
    """Those that reach `high` and that the settings keep, highest maximum of M first, ties by place.

    Args:
        raised: regions of an image.
        width, height: the image's sides in pixels.
        settings: how many regions stay, and which.
        high: cut in standard deviations above the median.
    """
    kept = [
        each.region
        for each in raised
        if each.top >= np.float32(high)
        and each.region.area >= settings.least_share * width * height
        and border_share(each.region, width, height) <= settings.border_limit
    ]
    if settings.keep == "largest":
        kept.sort(key=lambda region: (-region.area, -region.peak, region.y, region.x))
        kept = kept[: settings.most_regions]
    return sorted(kept, key=lambda region: (-region.peak, region.y, region.x))[: settings.most_regions]


def outstanding_regions(
    anomaly_map: Floats, full: Floats, settings: RegionSettings, *, low: float, high: float
) -> list[Region]:
    """The regions of {Z ≥ low} that reach `high`, highest maximum of M first; ties are ordered by place.

    Args:
        anomaly_map: M on its grid, (rows, columns), which Z is measured on.
        full: M at the image's size, (H, W).
        settings: how many regions stay, and which.
        low, high: cuts in standard deviations above the median.

    Raises:
        UserError: a value of the map is no number.
    """
    height, width = full.shape
    raised = upsample(standardised(anomaly_map), width, height)
    found = raised_regions(full, raised, low, gap_pixels(settings, width, height))
    return kept_regions(found, width, height, settings, high)


def gap_pixels(settings: RegionSettings, width: int, height: int) -> int:
    """Most pixels between regions of an image that become one."""
    return round(settings.gap * min(width, height))
