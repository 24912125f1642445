"""Whether one detector is better than another: the paired permutation test on AP, over images."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from training.metrics.resampling import ROUNDING, THRESHOLDS, ClassMatches, Ints, MatchedDetections


def swapped_p(
    first: MatchedDetections,
    second: MatchedDetections,
    groups: Ints,
    *,
    draws: int = 999,
    seed: int = 0,
    thresholds: int = len(THRESHOLDS),
) -> float:
    """p of the hypothesis that `second` is no better than `first`, one-sided, by swapping their detections.

    Were both equal, it would be chance which of them found what in a group of images. T is AP of `second`
    less AP of `first`. T_s is the same after a swap s: in each group the two keep their detections or
    exchange them. AP is that of the whole set each time, as it is no mean over images. With G groups

        p = #{s : T_s ≥ T} / 2^G                       over all swaps, where 2^G ≤ draws
        p = (1 + #{s : T_s ≥ T}) / (1 + draws)         over drawn ones, each side of a group with ½

    Both hold the level without an assumption: p ≤ α in at most α of the cases where the two are equal.
    Fisher, The Design of Experiments, 1935, chapter 3; Noreen, Computer-Intensive Methods for Testing
    Hypotheses, 1989, chapter 2 (approximate randomisation); the 1 in the second: Phipson and Smyth,
    Statistical Applications in Genetics and Molecular Biology 9(1), 2010.

    Args:
        first, second: matches on the same images.
        groups: (N,) number of each image's group, from 0: images that share their fate (near-duplicates).
        draws: number of drawn swaps.
        seed: seed of the draws.
        thresholds: see `ClassMatches.precision`.

    Returns:
        0 < p ≤ 1.

    Raises:
        ValueError: no image has an object.
    """
    pairs = zip(first.classes, second.classes, strict=True)
    pooled = MatchedDetections(tuple(_pooled(one, other) for one, other in pairs))
    count = int(groups.max()) + 1

    def lead(kept: npt.NDArray[np.bool_]) -> float:
        own = kept[groups].astype(np.int64)
        theirs = np.concatenate([1 - own, own])
        return pooled.precision(theirs, thresholds) - pooled.precision(1 - theirs, thresholds)

    told = lead(np.ones(count, np.bool_))
    if np.isnan(told):
        raise ValueError("no image has an object, so nothing can be compared")
    whole = 2**count <= draws
    swaps = _every(count) if whole else _drawn(count, draws, seed)
    leads = np.array([lead(kept) for kept in swaps])
    reached = int((leads >= told - ROUNDING).sum())
    return reached / len(leads) if whole else (1 + reached) / (1 + draws)


def _every(count: int) -> Iterator[npt.NDArray[np.bool_]]:
    places = np.arange(count)
    for number in range(2**count):
        yield (number >> places & 1).astype(np.bool_)


def _drawn(count: int, draws: int, seed: int) -> Iterator[npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield rng.random(count) < 0.5


def _pooled(first: ClassMatches, second: ClassMatches) -> ClassMatches:
    """Both detectors' matches as of two sets of images: those of `first`, then the same of `second`."""
    images = len(first.objects)
    scores = np.concatenate([first.scores, second.scores])
    own = np.concatenate([first.images, second.images])
    # As one detector alone has them: by score, then by image. Of an image one side counts at a time.
    order = np.lexsort((own, -scores))
    return ClassMatches(
        scores[order],
        np.concatenate([first.images, second.images + images])[order],
        np.concatenate([first.right, second.right], axis=1)[:, order],
        np.concatenate([first.wrong, second.wrong], axis=1)[:, order],
        np.concatenate([first.objects, second.objects]),
    )
