"""The proof's table: every comparison of a data set in one, and means over data sets and labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from benchmarks.real_surfaces.made_starts import RIVAL
from tuning.gain import (
    Arm,
    GainSection,
    PairedGain,
    SetResult,
    arm_name,
    document,
    gain_cells,
    markdown,
    paired_gain,
)
from tuning.markdown import grid

PICTURE = "real_surfaces.svg"
MEAN_HEADER = ("start", "less", "epochs", "columns", "mean gain", "95 % interval", "ahead", "p")


def joined(results: Sequence[SetResult]) -> SetResult:
    """One result of several comparisons of a data set; a start that several have is the same trainings."""
    whole = replace(results[0], arms={}, shares={})
    for result in results:
        for arm, measured in result.arms.items():
            if arm not in whole.arms or len(measured.figures) > len(whole.arms[arm].figures):
                whole.arms[arm] = measured
        whole.shares |= result.shares
        if whole.defective is None:
            whole.defective = result.defective
    return whole


def mean_gain(
    sets: Sequence[SetResult], arm: Arm, over: Arm, limits: Iterable[int | None], metric: str
) -> PairedGain | None:
    """An arm less another, by seed: the mean over data sets and label counts.

    Args:
        sets: the data sets.
        arm, over: arms; their label count is of no account.
        limits: label counts of the columns.
        metric: the figure.

    Returns:
        Over the seeds that all columns have; None without one.
    """
    columns = []
    for data in sets:
        for limit in limits:
            figures = [data.arms.get(each._replace(limit=limit)) for each in (arm, over)]
            known = [each.by_seed(metric) for each in figures if each is not None and each.figures]
            if len(known) < len(figures):
                return None
            gain = paired_gain(*known)
            if gain is None:
                return None
            columns.append(gain.differences)
    seeds = set.intersection(*map(set, columns)) if columns else set()
    if not seeds:
        return None
    return PairedGain({seed: sum(column[seed] for column in columns) / len(columns) for seed in seeds})


def pairs(sets: Sequence[SetResult]) -> list[tuple[Arm, Arm]]:
    """What is compared over all columns: each arm with its start, and with that start after the rival."""
    arms = dict.fromkeys(arm._replace(limit=None) for data in sets for arm in data.arms)
    compared = [(arm, arm.alone) for arm in arms if arm.paired]
    compared += [
        (arm, rival)
        for arm in arms
        if arm.paired and not arm.is_ceiling
        if (rival := arm.alone._replace(start=f"{arm.start} + {RIVAL}")) in arms
    ]
    return compared


def mean_gains(sets: Sequence[SetResult], metric: str) -> Mapping[tuple[Arm, Arm], tuple[int, PairedGain]]:
    """By pair, the number of columns and the mean gain: of all label counts, else of the first."""
    limits = list(dict.fromkeys(arm.limit for data in sets for arm in data.arms))
    gains = {}
    for arm, over in pairs(sets):
        for chosen in (limits, limits[:1]):
            gain = mean_gain(sets, arm, over, chosen, metric)
            if gain is not None:
                gains[arm, over] = (len(sets) * len(chosen), gain)
                break
    return gains


def whole_table(sets: Sequence[SetResult], section: GainSection, preset: str, summary: str) -> str:
    """The table, verdicts and means as markdown."""
    rows = [
        [arm_name(arm), arm_name(over), str(arm.epochs), str(columns), *gain_cells(gain)]
        for (arm, over), (columns, gain) in mean_gains(sets, section.metric).items()
    ]
    means = grid(MEAN_HEADER, rows) if rows else "No start has all columns yet."
    table = markdown(document(sets, section, preset, summary)).replace("gains.svg", PICTURE)
    return f"{table}\n## Means over the columns\n\n{means}\n"
