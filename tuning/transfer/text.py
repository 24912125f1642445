"""The table of a transfer study, its curves in figures, and the recommendation in words with its evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.dense import DenseTask, Regime
from tuning.markdown import bullets, grid
from tuning.paired import Paired, paired
from tuning.transfer.section import TransferPaper
from tuning.transfer.statistics import Curve, Spread, iterations_to, spread

HEADER = ("data", "task", "regime", "start", "score", "iterations", "against the best")
TITLES: Mapping[DenseTask, str] = {"semantic": "mIoU", "instance": "mask mAP", "detection": "box mAP"}
REGIMES: Mapping[Regime, str] = {
    "norms": "of the backbone only scales and shifts of its norms learn; batch norms keep their statistics.",
    "lora": "of the backbone only low-rank updates of its attention learn (Hu et al.); the kept model has "
    "them in its weights.",
    "linear_then_full": "neck and head learn first, the backbone frozen, then all (Kumar et al.), in as many "
    "iterations together as the other regimes have.",
}
GREY = 0.02  # saturation below which a data set is grey
NOTHING = 0.005  # IoU or AP that is shown as nought, or next to it
FAR = 2.0  # a data set is far when it shifts so many times as much as the least shifted one


@dataclass(frozen=True)
class Group:
    """All trainings of a data set, task, regime and start.

    Attributes:
        curves: curves by seed.
        defects: mIoU of the defects alone after the last iteration, by seed; of the task `semantic`.
        not_run: reason, where the group could not be run.
    """

    data: str
    task: DenseTask
    regime: Regime
    start: str
    curves: dict[int, Curve] = field(default_factory=dict)
    defects: dict[int, float] = field(default_factory=dict)
    not_run: str | None = None

    @property
    def last(self) -> dict[int, float]:
        """The last score by seed."""
        return {seed: curve[-1][1] for seed, curve in self.curves.items() if curve}

    @property
    def score(self) -> Spread | None:
        """Mean and deviation of the last scores over the seeds."""
        return spread(list(self.last.values()))

    @property
    def blind(self) -> bool:
        """Whether no seed finds anything to speak of; mIoU alone hides it, as it counts the background."""
        found = self.defects or self.last
        return bool(found) and max(found.values()) < NOTHING


@dataclass(frozen=True)
class Look:
    """What a data set looks like to the backbones.

    Attributes:
        data: name of the data set.
        images: number of labelled images.
        saturation: mean saturation of the colours, see `DatasetColours`.
        deep: whether it has images of more than 8 bits.
        shifts: shift of the features by start, see `training/dense/modality.py`.
    """

    data: str
    images: int
    saturation: float
    deep: bool
    shifts: Mapping[str, float]


def rivals(groups: Sequence[Group], group: Group) -> list[Group]:
    """The starts of the same data set, task and regime, best first."""
    same = [
        other
        for other in groups
        if (other.data, other.task, other.regime) == (group.data, group.task, group.regime) and other.score
    ]
    return sorted(same, key=lambda other: -_mean(other))


def _mean(group: Group) -> float:
    return group.score.mean if group.score else float("-inf")


def reached(group: Group, score: float) -> Spread | None:
    """Iterations to a score over the seeds; None unless every seed reaches it."""
    steps = [iterations_to(curve, score) for curve in group.curves.values()]
    known = [step for step in steps if step is not None]
    return spread(known) if known and len(known) == len(steps) else None


def lines(groups: Sequence[Group], reach: float) -> list[list[str]]:
    """One line a group, under `HEADER`."""
    rows = []
    for group in groups:
        head = [group.data, group.task, group.regime, group.start]
        if group.score is None:
            rows.append([*head, "not run", "–", "–"])
            continue
        best = rivals(groups, group)[0]
        steps = reached(group, reach * _mean(best))
        rows.append(
            [
                *head,
                f"{_shown(group.score, 100, 1)} {TITLES[group.task]}",
                "not reached" if steps is None else _shown(steps, 1, 0),
                "best" if best is group else _against(paired(group.last, best.last)),
            ]
        )
    return rows


def _shown(value: Spread, factor: float, digits: int) -> str:
    text = f"{value.mean * factor:,.{digits}f}"
    return text if value.deviation is None else f"{text} ± {value.deviation * factor:,.{digits}f}"


def _against(result: Paired | None) -> str:
    if result is None:
        return "–"
    p = "one pair" if result.p is None else f"p = {result.p:.2g}"
    return f"{result.difference * 100:+.1f} ({p})"


def recommendation(groups: Sequence[Group], looks: Sequence[Look], reach: float) -> list[str]:
    """Which start to take, in sentences: the best one, whether chance explains it, its speed, the shift.

    Args:
        groups: all trainings.
        looks: looks of all data sets.
        reach: share of the best score that counts as reached.
    """
    sentences = []
    for look in looks:
        for task in dict.fromkeys(group.task for group in groups if group.data == look.data):
            scored = [g for g in groups if (g.data, g.task) == (look.data, task) and g.score]
            if scored:
                sentences.append(_advice(groups, look.data, task, scored, reach))
        sentences.append(_modality(look, looks))
    return sentences


def _advice(
    groups: Sequence[Group], data: str, task: DenseTask, scored: Sequence[Group], reach: float
) -> str:
    if all(group.blind for group in scored):
        return f"{data}, {task}: no start finds defects after these iterations: nothing to recommend."
    best = max(scored, key=_mean)
    others = rivals(groups, best)[1:]
    assert best.score is not None
    text = f"{data}, {task}: take {best.start}, {best.regime} ({_shown(best.score, 100, 1)} {TITLES[task]})"
    if not others:
        return f"{text}; no other start was run to compare it with."
    second = others[0]
    result = paired(best.last, second.last)
    ahead = "" if result is None else f"{result.difference * 100:.1f} above {second.start}"
    if result is None:
        text += f"; {second.start} shares no seed with it"
    elif result.certain:
        text += f"; {ahead} over {result.seeds} seeds, p = {result.p:.2g}"
    else:
        why = "with one pair of runs nothing is certain" if result.p is None else f"p = {result.p:.2g}"
        text += f"; {ahead}, which chance may explain ({why}): either will do"
    steps, theirs = (reached(each, reach * _mean(best)) for each in (best, second))
    if steps is not None:
        text += f". It reaches {reach * 100:g} % of that after {steps.mean:,.0f} iterations"
        text += f", {second.start} {'never' if theirs is None else f'after {theirs.mean:,.0f}'}"
    return text + "."


def _modality(look: Look, looks: Sequence[Look]) -> str:
    colour = "grey" if look.saturation < GREY else f"coloured (saturation {look.saturation:.2f})"
    depth = ", more than 8 bits deep" if look.deep else ""
    text = f"{look.data}: {look.images} labelled images, {colour}{depth}"
    if not look.shifts:
        return f"{text}; no pretrained start was run, so no shift of features was measured."
    shifts = ", ".join(f"{start} {value:.2f}" for start, value in sorted(look.shifts.items()))
    text += f". Shift of features from natural-like images, in their deviations: {shifts}"
    least = min(max(other.shifts.values()) for other in looks if other.shifts)
    if max(look.shifts.values()) >= FAR * least:
        text += "; much farther than the nearest data set here: frozen features are to be trusted least"
    return text + "."


def paper_lines(paper: TransferPaper) -> list[list[str]]:
    """The paper's figures: data, metric, start, frozen, full."""
    return [
        [
            line.data,
            line.metric,
            line.start,
            *("–" if v is None else f"{v:.2f}" for v in (line.frozen, line.full)),
        ]
        for line in paper.lines
    ]


def footnotes(
    groups: Sequence[Group], summary: str, preset: str, reach: float, seeds: Sequence[int]
) -> list[str]:
    """How to read the table, how it was run, and which groups were not run and why."""
    notes = [
        "Scores on the test split after the last iteration, in percent, mean ± deviation over seeds "
        f"{', '.join(map(str, seeds))}; the test split chose nothing.",
        f"iterations: to {reach * 100:g} % of the best start's last score in the same row group.",
        "against the best: mean difference of the same seeds, paired t test, two-sided.",
        f"Preset {preset}: {summary}",
        "mIoU counts the background as a class; mAP is COCO's, IoU 0.5 to 0.95.",
    ]
    if blind := [f"{g.data} {g.task} {g.regime} {g.start}" for g in groups if g.blind]:
        notes.append(
            f"Finds no defects: {', '.join(blind)}. An mIoU is then the background's alone; more iterations "
            "or images are needed before starts can be compared."
        )
    used = dict.fromkeys(group.regime for group in groups)
    notes += [f"{regime}: {REGIMES[regime]}" for regime in used if regime in REGIMES]
    if len(seeds) < 3:
        notes.append("Fewer than three seeds: the test can hardly tell chance from gain.")
    for reason in dict.fromkeys(group.not_run for group in groups if group.not_run):
        who = ", ".join(f"{g.data} {g.task} {g.regime} {g.start}" for g in groups if g.not_run == reason)
        notes.append(f"Not run: {who}: {reason}")
    return notes


def document(
    groups: Sequence[Group],
    looks: Sequence[Look],
    paper: TransferPaper,
    *,
    preset: str,
    summary: str,
    reach: float,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """The whole study as JSON-able data."""
    return {
        "title": "Transfer: which start suits these images",
        "preset": preset,
        "header": list(HEADER),
        "lines": lines(groups, reach),
        "recommendation": recommendation(groups, looks, reach),
        "notes": [
            *footnotes(groups, summary, preset, reach, seeds),
            f"Paper: {paper.source}.",
            *(f"Open in the paper's figures: {sentence}" for sentence in paper.contradictions),
        ],
        "paper": {"header": ["data", "metric", "start", "frozen", "full"], "lines": paper_lines(paper)},
        "paper_says": list(paper.says),
        "looks": [vars(look) for look in looks],
        "curves": [
            {
                "data": group.data,
                "task": group.task,
                "regime": group.regime,
                "start": group.start,
                "seeds": {str(seed): list(curve) for seed, curve in group.curves.items()},
            }
            for group in groups
        ],
    }


def markdown(table: Mapping[str, Any]) -> str:
    """The document as markdown, for people."""
    parts = [f"# {table['title']}", grid(table["header"], table["lines"])]
    parts += ["## Recommendation", bullets(table["recommendation"])]
    parts += ["![curves](curves.png)", "## The paper's figures", grid(**table["paper"])]
    parts += [bullets(table["paper_says"]), "## Notes", bullets(table["notes"])]
    return "\n\n".join(parts) + "\n"
