"""A data set's grey levels and colours, measured on its training images alone.

Images of more than 8 bits (X-ray plates, 16-bit TIFF) become 8 bits by one scale for the whole set, so that a
dark part stays darker than a bright one; each image's own extremes, the default elsewhere, would hide that,
and one hot pixel would darken its whole image.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.images.reading import ImageError, Levels, read_deep, read_image
from pipelines.images.section import LevelsSection as LevelsSection

SAMPLED = 4_000_000  # grey values of a whole data set from which percentiles are taken
MOST_IMAGES, THREADS = 1_000, 8  # of one source, for its percentiles
LEAST = 1_024  # grey values of one image
FULL = (0.0, 65_535.0)
MIN_DEVIATION = 1 / 255  # least deviation of a channel; keeps a constant one from being blown up


@dataclass(frozen=True)
class DatasetColours:
    """A data set's levels and colours.

    Attributes:
        levels: black and white of its deep images; None where it has none or each has its own.
        mean, std: means and standard deviations of R, G, B in [0, 1] over all training pixels, after scaling.
        saturation: mean of (max − min) / max of R, G, B over all training pixels: 0 where all is grey.
    """

    levels: Levels | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    saturation: float


def dataset_levels(uris: Sequence[str], section: LevelsSection) -> Levels | None:
    """Black and white of a data set's deep images; None where it has none, or each takes its own.

    Args:
        uris: paths or URIs of the training images.
        section: config of the scaling.

    Raises:
        ImageError: an image can't be read.
    """
    if section.scaling == "fixed" and section.black is not None and section.white is not None:
        return section.black, section.white
    if section.scaling == "image" or not uris:
        return None
    count = max(LEAST, SAMPLED // len(uris))
    samples: list[npt.NDArray[np.float64]] = []
    for uri in uris:
        deep = read_deep(uri)
        if deep is not None:
            samples.append(deep.ravel()[:: max(1, deep.size // count)])
    if not samples:
        return None
    if section.scaling == "full":
        return FULL
    low, high = np.percentile(np.concatenate(samples), [section.low, section.high])
    return float(low), float(high)


def source_levels(uris: Sequence[str], section: LevelsSection) -> Levels | None:
    """Like `dataset_levels`, for files that nobody has looked at yet: unusable ones take no part.

    Percentiles are those of at most `MOST_IMAGES` images, which the hashes of their paths pick.
    """
    if section.scaling == "fixed":
        return dataset_levels(uris, section)
    picked = sorted(uris, key=lambda uri: hashlib.sha256(uri.encode("utf-8", "surrogatepass")).digest())
    picked = picked[:MOST_IMAGES]
    with ThreadPoolExecutor(THREADS) as pool:
        usable = [uri for uri, good in zip(picked, pool.map(_is_usable, picked), strict=True) if good]
    return dataset_levels(usable, section)


def _is_usable(uri: str) -> bool:
    try:
        read_deep(uri)
    except ImageError:
        return False  # the corpus says why
    return True


def dataset_colours(uris: Sequence[str], section: LevelsSection) -> DatasetColours:
    """Levels, means and deviations of a data set's training images.

    Raises:
        ImageError: an image can't be read.
        ValueError: there is none.
    """
    levels = dataset_levels(uris, section)
    total = np.zeros(3)
    squares = np.zeros(3)
    pixels, coloured = 0, 0.0
    for uri in uris:
        image = read_image(uri, levels).reshape(-1, 3)
        # Sums of bytes and of their squares are exact in 64 bits.
        total += image.sum(axis=0, dtype=np.int64) / 255
        squares += np.einsum("pc,pc->c", image, image, dtype=np.int64) / 255**2
        highest = image.max(axis=1).astype(np.float64)
        coloured += float(((highest - image.min(axis=1)) / np.maximum(highest, 1)).sum())
        pixels += len(image)
    if not pixels:
        raise ValueError("a data set without images has no colours")
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0)).clip(MIN_DEVIATION)
    red, green, blue = mean.tolist()
    return DatasetColours(levels, (red, green, blue), tuple(std.tolist()), coloured / pixels)
