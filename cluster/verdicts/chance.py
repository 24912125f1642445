"""Whether anomaly maps do better than chance."""

import math

from cluster.verdicts.verdict import Verdict

DEVIATIONS = 1.959963984540054  # of a normal distribution, for a two-sided interval of 95 %
BISECTIONS = 40  # of an interval of length 1 at most: a millionth of a millionth


def auroc_interval(auroc: float, defective: int, normal: int) -> tuple[float, float]:
    """The 95 % interval of an area under the ROC curve, within 0…1.

    Every area that the measured one can't be told from (Newcombe, Statistics in Medicine 25, 2006, 559-573,
    method 5), by the standard error of Hanley and McNeil (Radiology 143, 1982, 29-36) at that area, with
    half a pair as continuity correction. It holds 0.5 where the Mann-Whitney test can't tell it from
    guessing, and does not shrink to a point where few samples are all in order.

    Args:
        auroc: the area, 0…1.
        defective, normal: number of independent samples of each kind, at least 1.

    Raises:
        ValueError: an area outside 0…1, or no sample of a kind.
    """
    if not 0 <= auroc <= 1 or min(defective, normal) < 1:
        raise ValueError(f"no interval of an AUROC of {auroc} on {defective} and {normal} samples")
    return (
        _last_area_in_reach(auroc, 0.0, defective, normal),
        _last_area_in_reach(auroc, 1.0, defective, normal),
    )


def chance_level(metric: str, auroc: float | None, *, defective: int, normal: int) -> Verdict | None:
    """The verdict on maps that can't be told from guessing; None where they can, or nothing was measured.

    Args:
        metric: the figure's name for people, e.g. `image AUROC`.
        auroc: the area, 0…1.
        defective, normal: number of images of each kind. A pixel AUROC counts images too, as the pixels of
            one image are not independent; that errs towards this verdict.
    """
    if auroc is None or min(defective, normal) < 1:
        return None
    low, high = auroc_interval(auroc, defective, normal)
    interval = f"95 % interval {low:.2f} to {high:.2f}"
    if high < 0.5:
        return Verdict(
            "below_chance",
            f"The {metric} of {auroc:.3f} ({interval}) is worse than guessing: what is normal scores "
            "higher than what is defective. Check the labels, the references and the prompts.",
        )
    if low > 0.5:
        return None
    return Verdict(
        "chance_level",
        f"The {metric} of {auroc:.3f} can't be told from guessing on {defective} defective and {normal} "
        f"normal images ({interval}, chance is 0.50), so boxes and pretraining from these maps may teach "
        "nothing: defects smaller than a patch of the encoder, too few references or too small an encoder "
        "are the usual causes; images cropped to the surface, more normal references (shots) or a larger "
        "maps.encoder.model help, and more labelled images narrow the interval.",
    )


def _last_area_in_reach(auroc: float, end: float, defective: int, normal: int) -> float:
    """The area between `auroc` and `end` (0 or 1) up to which the two can't be told apart."""
    correction = 0.5 / (defective * normal)
    inside, outside = auroc, end
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        within = abs(auroc - middle) - correction <= DEVIATIONS * _error(middle, defective, normal)
        inside, outside = (middle, outside) if within else (inside, middle)
    return inside if abs(inside - end) > 1e-9 else end


def _error(auroc: float, defective: int, normal: int) -> float:
    """Standard error of the area, after Hanley and McNeil."""
    by_defective = auroc / (2 - auroc) - auroc**2
    by_normal = 2 * auroc**2 / (1 + auroc) - auroc**2
    variance = auroc * (1 - auroc) + (defective - 1) * by_defective + (normal - 1) * by_normal
    return math.sqrt(max(variance, 0.0) / (defective * normal))
