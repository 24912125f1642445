"""The table of a gain study and its rows for spreadsheets."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.gain.results import METRICS, ArmResult, SetResult
from tuning.gain.section import Arm, GainSection
from tuning.gain.statistics import PairedGain
from tuning.gain.verdict import verdicts
from tuning.markdown import bullets, grid

TITLE = "What pretraining on unlabelled images gains here"
HEADER = ("data", "labels", "epochs", "start", "mAP@.5", "mAP@.5:.95", "gain", "95 % interval", "ahead", "p")
CSV_HEADER = ("data", "labels", "epochs", "start", "source", "rounds", "finetune_rounds", "seed", *METRICS)
NAMES = {"map50": "mAP@.5", "map50_95": "mAP@.5:.95"}
SAID = {
    "painted": "painted defects",
    "maps": "pseudo-boxes of the maps",
    "both": "pseudo-boxes and painted defects",
    "auto": "boxes that labels chose",
    "labels": "true boxes (ceiling)",
}


def arm_name(arm: Arm) -> str:
    """The arm's start and what it learns from in words, with the rounds where they are several."""
    pretrained = f" + {SAID[arm.source]}" if arm.source is not None else ""
    rounds = "" if arm.rounds == 1 else f", {arm.rounds} rounds"
    trained = "" if arm.finetune_rounds == 1 else f" + self-training, {arm.finetune_rounds} rounds"
    return f"{arm.start}{pretrained}{rounds}{trained}"


def lines(sets: Sequence[SetResult], section: GainSection) -> list[list[str]]:
    """One line an arm, under `HEADER`."""
    rows = []
    for data in sets:
        for arm, result in data.arms.items():
            head = [data.name, arm.labels, str(arm.epochs), arm_name(arm)]
            if result.not_run and not result.figures:
                rows.append([*head, "not run", *["–"] * 5])
                continue
            shown = [_shown(result, metric) for metric in METRICS]
            gain = data.gain(arm, section.metric) if arm.paired else None
            rows.append([*head, *shown, *gain_cells(gain)])
    return rows


def _shown(result: ArmResult, metric: str) -> str:
    values = [100 * value for value in result.by_seed(metric).values()]
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"


def gain_cells(gain: PairedGain | None) -> list[str]:
    """The last four cells of a line: gain in points, interval, seeds ahead, p; dashes where there is none."""
    if gain is None:
        return ["–"] * 4
    interval = (
        "–" if gain.interval is None else "{:+.1f} to {:+.1f}".format(*(100 * e for e in gain.interval))
    )
    p = "–" if gain.p is None else f"{gain.p:.2g}"
    return [f"{100 * gain.mean:+.1f}", interval, f"{gain.ahead} of {len(gain.values)}", p]


def footnotes(sets: Sequence[SetResult], section: GainSection, preset: str, summary: str) -> list[str]:
    """How to read the table, how it was run, and which arms were not run and why."""
    count = len(section.seeds)
    notes = [
        "mAP in percent on the held-out half, after the last epoch, mean ± deviation over seeds "
        f"{', '.join(map(str, section.seeds))}; near-duplicates stay in one half, and the held-out half "
        "chose nothing.",
        f"gain: points of {NAMES[section.metric]} above the start as it is, on its labels alone, same seed. "
        "Its interval is Student's t over the seeds: of other runs on these images, not of other images.",
        f"p: exact permutation test over all signs, two-sided; with {count} seeds it can't be below "
        f"{2 / 2**count:.2g}."
        if count > 1
        else "One seed: there is no interval and no test.",
        "Pretraining sees the images outside the held-out half, without their labels; true boxes are the "
        "labels of all of them as one class, which no pseudo-boxes can beat by much.",
        f"Preset {preset}, your own settings over it: {summary}",
    ]
    compared = sum(arm.paired and not arm.is_ceiling for data in sets for arm in data.arms)
    if compared > 1:
        notes.append(
            f"{compared} comparisons: of twenty without any gain, one interval leaves out 0 by chance."
        )
    for data in sets:
        few = {
            (arm.limit, each.labelled)
            for arm, each in data.arms.items()
            if each.figures and arm.limit is not None and each.labelled < arm.limit
        }
        notes += [
            f"{data.name} has {labelled} labelled images with objects to finetune on, not {limit}."
            for limit, labelled in sorted(few)
        ]
        for reason in dict.fromkeys(result.not_run for result in data.arms.values() if result.not_run):
            who = dict.fromkeys(arm_name(arm) for arm, each in data.arms.items() if each.not_run == reason)
            notes.append(f"Not run: {', '.join(who)} on {data.name}: {reason}")
    return notes


def document(sets: Sequence[SetResult], section: GainSection, preset: str, summary: str) -> dict[str, Any]:
    """The whole study as JSON-able data."""
    return {
        "title": TITLE,
        "preset": preset,
        "header": list(HEADER),
        "lines": lines(sets, section),
        "verdicts": [verdict.document() for verdict in verdicts(sets, section)],
        "notes": footnotes(sets, section, preset, summary),
        "cells": [dict(zip(CSV_HEADER, row, strict=True)) for row in _cells(sets)],
    }


def markdown(table: Mapping[str, Any]) -> str:
    """The document as markdown, for people."""
    said = bullets([verdict["sentence"] for verdict in table["verdicts"]]) or "Nothing is measured yet."
    parts = [f"# {table['title']}", said, grid(table["header"], table["lines"])]
    parts += ["![gains](gains.svg)", "## Notes", bullets(table["notes"])]
    return "\n\n".join(parts) + "\n"


def csv_text(sets: Sequence[SetResult]) -> str:
    """Every training's figures as comma-separated values, a line a seed."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    writer.writerows(_cells(sets))
    return stream.getvalue()


def _names(data: SetResult, arm: Arm) -> list[Any]:
    rounds = arm.rounds if arm.source else ""
    return [data.name, arm.labels, arm.epochs, arm.start, arm.source or "", rounds, arm.finetune_rounds]


def _cells(sets: Sequence[SetResult]) -> list[list[Any]]:
    return [
        [*_names(data, arm), seed, *(row[metric] for metric in METRICS)]
        for data in sets
        for arm, result in data.arms.items()
        for seed, row in sorted(result.figures.items())
    ]
