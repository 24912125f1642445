"""A study's table, measured figures beside the paper's, for the terminal and as markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.verdicts import all_zero
from tuning.markdown import bullets, grid
from tuning.outcomes import OUTCOMES
from tuning.studies.comparison import comparisons
from tuning.studies.study import CellResult, Study

NOT_RUN, NOTHING = "not run", "–"
PRECISIONS = ("evaluate.map50", "evaluate.map50_95")  # on the test split


def header(study: Study, datasets: Sequence[str]) -> list[str]:
    """Heads: the rows' names, of each of our datasets its precisions and its costs, the paper's datasets."""
    ours = []
    for name in datasets:
        of = "" if len(datasets) == 1 else f"{name}: "
        ours += [name, *(f"{of}{OUTCOMES[metric].title}" for metric in _costs(study))]
    return [*study.columns, *ours, *(f"paper: {name}" for name in study.paper_datasets)]


def _precisions(study: Study) -> list[str]:
    """Metrics that share a dataset's column, as in the papers' tables."""
    return [name for name in study.metrics if OUTCOMES[name].percent]


def _costs(study: Study) -> list[str]:
    """Metrics with a column of their own: times, sizes, speeds."""
    return [name for name in study.metrics if not OUTCOMES[name].percent]


def lines(study: Study, datasets: Sequence[str], cells: Sequence[CellResult]) -> list[list[str]]:
    """One line a row, under `header`."""
    by_place = {(cell.row, cell.dataset): cell for cell in cells}
    rows = []
    for place, row in enumerate(study.rows):
        ours = [text for name in datasets for text in _ours(study, by_place.get((place, name)))]
        theirs = [" / ".join(_plain(value) for value in figures) for figures in row.paper]
        rows.append([*row.names, *ours, *(theirs or [NOTHING] * len(study.paper_datasets))])
    return rows


def _ours(study: Study, cell: CellResult | None) -> list[str]:
    if cell is None or not cell.seeds:
        return [NOT_RUN, *([NOTHING] * len(_costs(study)))]
    precisions = " / ".join(_figure(name, cell.mean(name)) for name in _precisions(study))
    return [precisions, *(_figure(name, cell.mean(name)) for name in _costs(study))]


def _figure(name: str, value: tuple[float, float | None] | None) -> str:
    if value is None:
        return NOTHING
    outcome = OUTCOMES[name]
    factor = 100 if outcome.percent else 1
    text = f"{value[0] * factor:,.{outcome.digits}f}"
    return text if value[1] is None else f"{text} ± {value[1] * factor:,.{outcome.digits}f}"


def _plain(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"


def footnotes(study: Study, preset: str, cells: Sequence[CellResult]) -> list[str]:
    """How to read the table, how it was run, and which rows were not run and why."""
    chosen = study.presets[preset]
    heads = " / ".join(OUTCOMES[name].title for name in _precisions(study))
    seeds = sorted({seed for cell in cells for seed in cell.seeds})
    notes = [f"Our columns: {heads}, on the test split"]
    notes[0] += f"; mean ± deviation over seeds {', '.join(map(str, seeds))}." if len(seeds) > 1 else "."
    if len(seeds) == 1:
        notes.append(f"One seed ({seeds[0]}): differences within its chance say nothing.")
    figures = [
        figure
        for cell in cells
        for seed in cell.seeds.values()
        for name, figure in seed.items()
        if name in PRECISIONS
    ]
    if (nothing := all_zero(figures)) is not None:
        notes.append(nothing.sentence)
    notes += comparisons(study, cells)
    if study.paper_datasets:
        notes.append(f"The paper's columns: {' / '.join(study.paper_metrics)}, as printed.")
    if study.says:
        notes.append(f"The paper, which prints no figures here: {study.says}")
    notes += [f"Paper: {study.source}.", f"Preset {preset}: {chosen.summary}", *study.notes]
    notes += [
        f"In this preset the rows that start from {word} begin with {other}, whatever their names say."
        for word, other in chosen.starts.items()
    ]
    notes += [f"Not run: {reason}" for reason in not_run(study, cells)]
    return notes


def not_run(study: Study, cells: Sequence[CellResult]) -> list[str]:
    """The reasons, each with the rows and datasets that it keeps from running."""
    by_reason: dict[str, list[str]] = {}
    for cell in cells:
        if cell.not_run:
            name = " ".join(part for part in study.rows[cell.row].names if part != "-")
            by_reason.setdefault(cell.not_run, []).append(f"{name} ({cell.dataset})")
    return [f"{', '.join(who)}: {reason}" for reason, who in by_reason.items()]


def markdown(study: Study, preset: str, datasets: Sequence[str], cells: Sequence[CellResult]) -> str:
    """The whole table as a document."""
    table = grid(header(study, datasets), lines(study, datasets, cells))
    notes = bullets(footnotes(study, preset, cells))
    return f"# {study.title}\n\n{table}\n\n{notes}\n"


def document(
    study: Study, preset: str, datasets: Sequence[str], cells: Sequence[CellResult]
) -> dict[str, Any]:
    """The whole table as JSON-able data."""
    return {
        "title": study.title,
        "preset": preset,
        "header": header(study, datasets),
        "lines": lines(study, datasets, cells),
        "notes": footnotes(study, preset, cells),
        "cells": [cell.document(study) for cell in cells],
        "paper": _paper(study),
    }


def _paper(study: Study) -> list[Mapping[str, Any]]:
    return [
        {
            "row": dict(zip(study.columns, row.names, strict=True)),
            "figures": {
                name: dict(zip(study.paper_metrics, figures, strict=True))
                for name, figures in zip(study.paper_datasets, row.paper, strict=False)
            },
        }
        for row in study.rows
    ]
