"""The forecast in words, as a table and as rows for spreadsheets."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cluster.verdicts import Verdict
from tuning.forecast.results import StartResult
from tuning.forecast.section import ForecastSection
from tuning.markdown import bullets, grid

TITLE = "What more labels would bring"
NAMES = {"map50": "mAP@0.5", "map50_95": "mAP@0.5:0.95"}
CSV_HEADER = ("start", "labels", "seed", "figure")
FAR = 4  # times the labels at hand, above which a forecast is far beyond what was seen
WIDE = 0.15  # half an interval, above which it tells little


def targets_of(result: StartResult, section: ForecastSection) -> list[int]:
    """What is foretold: the targets, all labels that were learnt from, and twice as many; rising."""
    largest = result.sizes[-1:]
    return sorted({*section.targets, *largest, *(2 * each for each in largest)})


def lines(results: Sequence[StartResult], section: ForecastSection) -> tuple[list[str], list[list[str]]]:
    """Header and one line a start; a forecast is `61 (57–66)`."""
    columns = sorted({target for result in results for target in targets_of(result, section)})
    rows = []
    for result in results:
        targets = targets_of(result, section)
        cells = dict.fromkeys(columns, "–")
        if result.curve is not None:
            made = result.curve.at(targets)
            ends = zip(made.expected, made.low, made.high, strict=True)
            cells |= dict(zip(targets, (_figure(*each) for each in ends), strict=True))
        rows.append([result.name, *cells.values()])
    return ["start", *(f"{column:,} labels" for column in columns)], rows


def verdicts(results: Sequence[StartResult], section: ForecastSection) -> list[Verdict]:
    """A sentence for each start: what the targets and twice the labels bring, or why nothing is told."""
    return [_verdict(result, section) for result in results]


def _verdict(result: StartResult, section: ForecastSection) -> Verdict:
    if result.not_run is not None and not result.runs:
        return Verdict("not run", f"{result.name}: not run: {result.not_run}")
    if result.curve is None:
        return Verdict("none", f"{result.name}: no forecast: {result.unfit()}.")
    largest = result.sizes[-1]
    targets = targets_of(result, section)
    made = result.curve.at(targets)
    told = [
        f"{target:,} labels: {_figure(*each)}"
        for target, each in zip(targets, zip(made.expected, made.low, made.high, strict=True), strict=True)
        if target in section.targets
    ]
    now, twice = targets.index(largest), targets.index(2 * largest)
    gains = np.percentile(made.draws[:, twice] - made.draws[:, now], (2.5, 97.5))
    gain = made.expected[twice] - made.expected[now]
    said = f"{result.name}, {NAMES[section.metric]} in percent: {'; '.join(told)}"
    said += (
        f". Doubling the {largest:,} labels that were learnt from brings about {100 * gain:+.0f} points "
        f"({100 * min(gains[0], gain):+.0f} to {100 * max(gains[1], gain):+.0f})."
    )
    far = [target for target in section.targets if target > FAR * largest]
    if far:
        said += (
            f" {', '.join(f'{each:,}' for each in sorted(far))} labels are more than {FAR} times what was "
            "measured: take that as a direction."
        )
    half = max(
        (high - low) / 2
        for target, low, high in zip(targets, made.low, made.high, strict=True)
        if target in section.targets
    )
    if half > WIDE:
        said += " The interval is wide: more seeds or larger subsets would narrow it."
    return Verdict("forecast", said)


def _figure(expected: float, low: float, high: float) -> str:
    """`61 (57–66)`, percent; `61 ± 4` where the interval's sides are alike."""
    middle, below, above = 100 * expected, 100 * (expected - low), 100 * (high - expected)
    if round(below) == round(above):
        return f"{middle:.0f} ± {above:.0f}"
    return f"{middle:.0f} ({100 * low:.0f}–{100 * high:.0f})"


def notes(section: ForecastSection, preset: str, summary: str, boxes: int | None) -> list[str]:
    """How to read it and how it was run."""
    told = [
        "Labels are labelled images with objects; images without come on top (finetune.background_share).",
        f"{NAMES[section.metric]} on the held-out half"
        + ("" if boxes is None else f" ({boxes} true boxes)")
        + f", after nested subsets of the labels at hand, seeds {', '.join(map(str, section.seeds))}. The "
        "curve is a − b·n^(−c), fitted by least squares.",
        "Intervals of 95 % are of the mean of such trainings: runs and test images are drawn anew, and the "
        "curve fitted again. They hold for labels like these, settings like these, and a curve of this form.",
        f"Preset {preset}, your own settings over it: {summary}",
    ]
    if len(section.seeds) < 2:
        told.append("One seed: the noise of trainings is told by the distance from the curve alone.")
    return told


def document(
    results: Sequence[StartResult], section: ForecastSection, preset: str, summary: str
) -> dict[str, Any]:
    """The whole forecast as JSON-able data."""
    header, rows = lines(results, section)
    boxes = next((result.test_boxes for result in results if result.test_boxes is not None), None)
    return {
        "title": TITLE,
        "preset": preset,
        "header": header,
        "lines": rows,
        "verdicts": [verdict.document() for verdict in verdicts(results, section)],
        "notes": notes(section, preset, summary, boxes),
        "curves": [_curve(result, section) for result in results],
        "runs": [dict(zip(CSV_HEADER, row, strict=True)) for row in _runs(results)],
    }


def _curve(result: StartResult, section: ForecastSection) -> dict[str, Any]:
    if result.curve is None:
        return {"start": result.name, "forecast": None, "reason": result.not_run or result.unfit()}
    targets = targets_of(result, section)
    made, fitted = result.curve.at(targets), result.curve.curve
    law = {"a": float(fitted.a[0]), "b": float(fitted.b[0]), "c": float(fitted.c[0])}
    rows = [
        {"labels": target, "expected": float(expected), "low": float(low), "high": float(high)}
        for target, expected, low, high in zip(targets, made.expected, made.low, made.high, strict=True)
    ]
    return {"start": result.name, "law": law, "forecast": rows}


def markdown(table: Mapping[str, Any]) -> str:
    """The document as markdown, for people."""
    said = bullets([verdict["sentence"] for verdict in table["verdicts"]])
    parts = [f"# {table['title']}", said, grid(table["header"], table["lines"])]
    parts += ["![curves](curves.svg)", "## Notes", bullets(table["notes"])]
    return "\n\n".join(parts) + "\n"


def csv_text(results: Sequence[StartResult]) -> str:
    """Every training's figure as comma-separated values."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    writer.writerows(_runs(results))
    return stream.getvalue()


def _runs(results: Sequence[StartResult]) -> list[list[Any]]:
    return [
        [result.name, run.size, run.seed, run.figure]
        for result in results
        for run in sorted(result.runs, key=lambda run: (run.size, run.seed))
    ]
