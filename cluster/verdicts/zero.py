"""Whether a detector finds anything at all."""

import math
import re
from collections.abc import Sequence

from cluster.verdicts.verdict import Verdict

# Beginnings of the names, in small letters and digits, of figures of 0…1 that are 0 where nothing is found.
SHARES = ("map", "ap", "recall", "precision", "f1", "iou", "small", "medium", "large")


def finds_nothing(metric: str, value: float | None, dataset: str) -> Verdict | None:
    """The verdict on a detector whose AP is 0 or unknown; None where it finds something.

    Figures that are no share of what is there, a loss say, may be 0 or less and mean no such thing.

    Args:
        metric: the figure's name; larger is better.
        value: the figure; None or NaN where it was not measured.
        dataset: name of the images it was measured on.
    """
    if value is None or math.isnan(value):
        return Verdict("unknown_ap", f"has no {metric} on {dataset}; nobody knows whether it finds anything")
    if value <= 0 and re.sub(r"[^a-z0-9]", "", metric.lower()).startswith(SHARES):
        return Verdict("zero_ap", f"finds nothing: its {metric} on {dataset} is {value:.4f}")
    return None


def all_zero(figures: Sequence[float | None]) -> Verdict | None:
    """The verdict on a comparison in which nothing finds anything; None where something does.

    Args:
        figures: AP of all that is compared; None or NaN where not measured. An empty list has no verdict.
    """
    if not figures or any(known(figure) > 0 for figure in figures):
        return None
    return Verdict("all_zero", "No start finds anything: mAP is 0.0 on the test split.")


def known(figure: float | None) -> float:
    """The figure; 0 where there is none."""
    return 0.0 if figure is None or math.isnan(figure) else figure
