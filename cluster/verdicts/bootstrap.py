"""How sure a figure over images is: the percentile bootstrap, by drawing the images anew."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DRAWS = 500  # sets of images; the interval's ends move little with more
PERCENTILES = (2.5, 97.5)
# Images that an interval of 95 % is drawn from. All that n images drawn anew can show lies between the least
# and the greatest of them, and these hold the median of a distribution in 1 − 2 / 2ⁿ of all cases: with five
# images in 93.8 % (David and Nagaraja, Order Statistics, 2003, section 7.1).
FEWEST_DRAWN = 6


def drawn_counts(images: int, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """How often each image is in each drawn set of as many images, (DRAWS, images).

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. Figures of two detectors on the
    same sets are paired.

    Args:
        images: number of images, at least 1.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    sets = [np.bincount(rng.integers(0, images, images), minlength=images) for _ in range(DRAWS)]
    return np.stack(sets)


def interval(figures: Sequence[float] | npt.NDArray[np.float64], images: int) -> tuple[float, float] | None:
    """The 95 % interval of a figure from its values on the drawn sets.

    Args:
        figures: value on each set; NaN where it is not defined there.
        images: number of images that the sets are drawn from and that have a part in the figure.

    Returns:
        Its ends; None where it is defined on no set, or of fewer than `FEWEST_DRAWN` images.
    """
    if images < FEWEST_DRAWN:
        return None
    values = np.asarray(figures, np.float64)
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return float(low), float(high)


def unanimous_interval(share: float, images: int) -> tuple[float, float]:
    """The 95 % interval of a share where no image or every one speaks for it.

    There all drawn sets agree and the bootstrap's interval has no width, as if five of five were certainty.
    Wilson's score interval (Brown, Cai and DasGupta, Statistical Science 16, 2001) has one.

    Args:
        share: 0 or 1.
        images: number of images that count, at least 1.
    """
    from scipy.stats import binomtest  # most of a second, which few commands need

    told = binomtest(round(share * images), images).proportion_ci(0.95, method="wilson")
    return float(told.low), float(told.high)
