"""Whether searched settings are worth taking."""

from cluster.verdicts.bootstrap import FEWEST_DRAWN
from cluster.verdicts.verdict import Verdict

# A mask IoU or box F1 below this: of twenty boxes nineteen are wrong or missing.
LEAST_WORTH = 0.05
# Gains below this come and go with the images; it is a floor and no interval.
LEAST_GAIN = 0.01


def chosen_settings(
    metric: str,
    best: float,
    before: float | None,
    *,
    held_out: tuple[float | None, float | None] | None = None,
    interval: tuple[float, float] | None = None,
    too_few: bool = False,
    measured: bool = True,
) -> Verdict | None:
    """The verdict on the best settings of a search; None where they are worth taking.

    Args:
        metric: the figure's name; larger is better, 0…1.
        best, before: the figure with the best settings and with the project's own.
        held_out: the same two on images that the search did not see; None where there are none.
        interval: 95 % interval of the gain on the held-out images, where there are none on those of the
            search; None where unknown.
        too_few: whether the images are too few for an interval, so that no gain on them is one to rely on.
        measured: whether the figure is measured against labels; without them its size says nothing.
    """
    if measured and best < LEAST_WORTH:
        return Verdict(
            "nearly_all_wrong",
            f"Even the best settings reach a {metric} of only {best:.3f} (below {LEAST_WORTH:g}): nearly all "
            "boxes would be wrong, whatever the thresholds. Mend the maps first (agssp evaluate maps says "
            "how good they are); this patch is no improvement to rely on.",
        )
    chance = f"gains below {LEAST_GAIN:g} come and go with the images"
    if before is not None and best - before < LEAST_GAIN:
        return Verdict(
            "no_better",
            f"The best settings are no better than the project's own ({metric} {best:.4f} against "
            f"{before:.4f}; {chance}); there is no reason to take this patch.",
        )
    if too_few:
        return Verdict(
            "too_few",
            f"Too few images for a claim: at least {FEWEST_DRAWN} with a labelled defect, two or more of a "
            f"category, are needed to tell a gain in {metric} from chance; there is no reason to take this "
            "patch.",
        )
    after, own = held_out or (None, None)
    if interval is not None and interval[0] <= 0:
        where = "the images of the search themselves" if held_out is None else "the held-out images"
        gain = best - before if before is not None else 0.0
        gain = after - own if after is not None and own is not None else gain
        return Verdict(
            "no_better",
            f"On {where} the best settings can't be told from the project's own: {metric} {gain:+.4f}, 95 % "
            f"interval {interval[0]:+.4f} to {interval[1]:+.4f} by drawing the images anew. More labelled "
            "images narrow it; without them there is no reason to take this patch.",
        )
    if after is not None and own is not None and after - own < LEAST_GAIN:
        return Verdict(
            "no_better",
            f"On the held-out images the best settings are no better than the project's own ({metric} "
            f"{after:.4f} against {own:.4f}; {chance}); the gain on the images of the search does not "
            "carry over.",
        )
    return None
