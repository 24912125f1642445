"""Which rule an audit chooses for a category, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cluster.verdicts import interval
from pipelines.audit.candidates import words
from pipelines.audit.figures import CategoryTally, Figures
from pipelines.boxes import PseudoBoxSettings

FEWEST_IMAGES, FEWEST_DEFECTS = 3, 10


@dataclass(frozen=True)
class Choice:
    """What is chosen for one category.

    Attributes:
        place: the candidate's place; None where none can be chosen.
        sentence: which it is and how well it does, or why there is none.
    """

    place: int | None
    sentence: str


def choose(
    category: str, tally: CategoryTally, figures: Figures, candidates: Sequence[PseudoBoxSettings]
) -> Choice:
    """The candidate with the best F1; of equal ones the first, so the user's own before others.

    Args:
        category: the category's name.
        tally, figures: its counts, and the figures of everything that was painted.
        candidates: rules with their settings; the first is the user's own.
    """
    too_few = too_few_sentence(category, tally.images, figures.defects)
    if too_few is not None:
        return Choice(None, too_few)
    f1 = np.nan_to_num(figures.values["f1"], nan=0.0)
    best = int(f1.argmax())
    if f1[best] == 0:
        return Choice(
            None,
            f'No rule draws a box around any of the {figures.defects} defects painted for "{category}": its '
            "maps don't show them. More references, a larger encoder or images cropped to the surface help.",
        )
    low, high = figures.lows["f1"][best] * 100, figures.highs["f1"][best] * 100
    ends = "" if np.isnan(low) else f" (95 % interval {low:.1f} to {high:.1f})"
    told = (
        f'"{category}" takes {words(candidates[best])}, the best of {len(candidates)} on {figures.defects} '
        f"painted defects: F1 {f1[best] * 100:.1f} %{ends}"
    )
    if best == 0:
        return Choice(best, f"{told}; it is the configured one.")
    difference = interval(figures.drawn_f1[:, best] - figures.drawn_f1[:, 0], tally.images)
    compared = f"the configured {words(candidates[0])} reaches {f1[0] * 100:.1f}"
    if difference is None or difference[0] <= 0:
        return Choice(best, f"{told}; {compared}, which these images can't tell from it.")
    return Choice(best, f"{told}; {compared}.")


def too_few_sentence(category: str, images: int, painted: int) -> str | None:
    """Why a category has too little for a choice; None where it has enough."""
    if images >= FEWEST_IMAGES and painted >= FEWEST_DEFECTS:
        return None
    return (
        f'"{category}" has {painted} painted defects on {images} images, and a choice needs '
        f"{FEWEST_DEFECTS} on {FEWEST_IMAGES}: add normal images beside the references, or raise "
        "audit.images."
    )
