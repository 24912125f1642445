"""What a gain study says in words: what pretraining gains, with which interval, and what limits it."""

from collections.abc import Sequence

from cluster.verdicts import FEWEST_BOXES, Verdict
from tuning.gain.results import SetResult
from tuning.gain.section import Arm, GainSection
from tuning.gain.statistics import PairedGain

NEAR = 0.8  # of the ceiling's gain, from which on better boxes are not what is missing
WORTH = 64  # seeds; above them a gain is too small to be told from none
LEARNT = {
    "painted": "painted defects",
    "maps": "pseudo-boxes",
    "both": "pseudo-boxes and painted defects",
    "auto": "the boxes that labels chose",
    "labels": "true boxes",
}
METRIC = {"map50": "mAP@0.5", "map50_95": "mAP@0.5:0.95"}


def verdicts(sets: Sequence[SetResult], section: GainSection) -> list[Verdict]:
    """A verdict on every arm that was measured with its pair, the ceiling's left out."""
    said = []
    for data in sets:
        for arm in data.arms:
            gain = data.gain(arm, section.metric) if arm.paired and not arm.is_ceiling else None
            if gain is not None:
                said.append(_verdict(data, arm, gain, section))
    return said


def _verdict(data: SetResult, arm: Arm, gain: PairedGain, section: GainSection) -> Verdict:
    labels = "all labels" if arm.limit is None else f"{arm.limit} labels"
    length = "1 epoch" if arm.epochs == 1 else f"{arm.epochs} epochs"
    where = f"{data.name}, {labels}, {length}, from {arm.start}"
    learnt = learning(arm)
    results = (data.arms[arm], data.arms[arm.alone])
    if not any(figure for each in results for row in each.figures.values() for figure in row.values()):
        return Verdict(
            "zero",
            f"{where}: nothing is found with or without {learnt}: mAP is 0.0. Finetune "
            "longer, or on more labels.",
        )
    if data.arms[arm].test_boxes < FEWEST_BOXES:
        return Verdict(
            "few",
            f"{where}: too few test boxes for a claim: {data.arms[arm].test_boxes}, at least {FEWEST_BOXES} "
            "are needed.",
        )
    claim = _claim(gain, learnt, METRIC[section.metric])
    return Verdict(gain.verdict, f"{where}: {claim}. {_limit(data, arm, gain, section)}")


def learning(arm: Arm) -> str:
    """What an arm has that its pair has not, in words."""
    parts = []
    if arm.source is not None:
        rounds = "" if arm.rounds == 1 else f" in {arm.rounds} rounds"
        parts.append(f"pretraining on {LEARNT[arm.source]}{rounds}")
    if arm.finetune_rounds > 1:
        parts.append(f"self-training in {arm.finetune_rounds} rounds")
    return " and ".join(parts)


def _claim(gain: PairedGain, learnt: str, metric: str) -> str:
    points, seeds = 100 * gain.mean, len(gain.values)
    if gain.interval is None and seeds > 1:
        return f"{learnt}: {points:+.1f} points of {metric} in each of {seeds} seeds, which gives no interval"
    if gain.interval is None:
        return f"{learnt}: {points:+.1f} points of {metric} with one seed, which tells nothing"
    low, high = (100 * end for end in gain.interval)
    seen = f"(95 % interval {low:+.1f} to {high:+.1f}; ahead in {gain.ahead} of {seeds} seeds)"
    if gain.verdict == "gain":
        return f"{learnt} gains {points:.1f} points of {metric} {seen}"
    if gain.verdict == "loss":
        return f"{learnt} loses {-points:.1f} points of {metric} {seen}"
    return f"with and without {learnt} end level, {points:+.1f} points of {metric} {seen}"


def _limit(data: SetResult, arm: Arm, gain: PairedGain, section: GainSection) -> str:
    """What keeps the gain from being larger or surer."""
    told = []
    if gain.verdict in ("one", "alike", "level"):
        needed = gain.seeds_needed
        more = None if gain.verdict == "level" else "more seeds"
        if needed is not None:
            more = f"about {needed} seeds" if needed <= WORTH else "more seeds than are worth running"
        if more:
            told.append(f"{more[0].upper()}{more[1:]} would be needed to tell a gain of this size from none")
    told.append(_beside_ceiling(data, arm, gain, section))
    return ". ".join(told) + "."


def _beside_ceiling(data: SetResult, arm: Arm, gain: PairedGain, section: GainSection) -> str:
    """What the gain of true boxes says of it."""
    ceiling = data.ceiling(arm, section.metric)
    if ceiling is None:
        return "What limits it is not known: no run learnt from true boxes (gain.sources)"
    bring = f"True boxes of the whole training half bring {100 * ceiling.mean:+.1f}"
    if ceiling.verdict == "one":
        return f"{bring} with one seed: what limits it can't be told yet"
    if ceiling.verdict == "alike":
        return f"{bring} in every seed alike: what limits it can't be told yet"
    if ceiling.verdict != "gain":
        return (
            f"{bring}, no certain gain either: nothing measured here says that better boxes would help, as "
            "start, labels and finetuning may carry what they could teach"
        )
    if gain.mean >= NEAR * ceiling.mean:
        return f"{bring}: better boxes could add little more"
    return f"{bring}: the boxes limit it{_why(data, arm)}"


def _why(data: SetResult, arm: Arm) -> str:
    """What is wrong with the boxes, as far as the labels tell."""
    parts = []
    shares = data.shares.get(arm.learnt)
    if shares is not None and shares.right is not None and shares.met is not None:
        parts.append(
            f"{100 * shares.right:.0f} % of the pseudo-boxes meet a labelled one (IoU 0.5), and "
            f"{100 * shares.met:.0f} % of the labelled ones are met"
        )
    if arm.learnt == "painted" and data.defective:
        parts.append(
            f"{100 * data.defective:.0f} % of the labelled training images show real defects, learnt as "
            "background"
        )
    return f" ({'; '.join(parts)})" if parts else ""
