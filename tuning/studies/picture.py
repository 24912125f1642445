"""A declared study as one picture: each row's figures on each data set, its times beside them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tuning.outcomes import OUTCOMES
from tuning.studies.study import CellResult, Study

COLOURS = ("#0b6e99", "#7fb6cc", "#c2571a", "#4b8b3b")
PAPER = "#333333"
ROW = 0.34  # inches
SECONDS = ".training_seconds"


def study_picture(study: Study, datasets: Sequence[str], cells: Sequence[CellResult]) -> bytes:
    """PNG: a line of panels for each data set, bars by row, or lines over the rows where a study says so.

    Bars are means over seeds, with their deviation; black dots are what the paper prints for the same data
    set. Rows that were not asked for (`--only`) are left out; one that could not be run says so.
    """
    from matplotlib.figure import Figure

    chosen = sorted({cell.row for cell in cells})
    study = study.model_copy(update={"rows": tuple(study.rows[row] for row in chosen)})
    cells = [replace(cell, row=chosen.index(cell.row)) for cell in cells]
    precise = [name for name in study.metrics if OUTCOMES[name].percent]
    timed = [name for name in study.metrics if name.endswith(SECONDS)]
    panels = [(precise, "%", 100.0)] + ([(timed, "s", 1.0)] if timed else [])
    height = 1.5 + ROW * max(3, len(study.rows)) if study.picture == "bars" else 3.6
    size = (2.6 + 4.2 * len(panels), height * len(datasets))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(study.title, fontsize=10)
    axes = figure.subplots(len(datasets), len(panels), squeeze=False)
    for line, dataset in zip(axes, datasets, strict=True):
        results = {cell.row: cell for cell in cells if cell.dataset == dataset}
        for place, (panel, (names, unit, factor)) in enumerate(zip(line, panels, strict=True)):
            draw = _bars if study.picture == "bars" else _lines
            draw(panel, study, results, names, factor)
            if any(_printed(study, dataset, name) for name in names):
                panel.plot([], [], "o", ms=4, color=PAPER, label="paper")
            axis = panel.set_xlabel if study.picture == "bars" else panel.set_ylabel
            axis(f"{dataset}, {unit}", fontsize=9)
            if place and study.picture == "bars":
                panel.set_yticklabels([])
            if panel.get_legend_handles_labels()[0]:  # above the panel, where it covers nothing
                panel.legend(
                    fontsize=7, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False
                )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _bars(
    panel: Any, study: Study, results: Mapping[int, CellResult], names: Sequence[str], factor: float
) -> None:
    highest = 0.0
    width = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        known = _known(results, name)
        shift = (number - (len(names) - 1) / 2) * width
        panel.barh(
            [row + shift for row in known],
            [factor * mean for mean, _ in known.values()],
            height=width,
            xerr=[factor * (deviation or 0.0) for _, deviation in known.values()],
            color=COLOURS[number % len(COLOURS)],
            label=OUTCOMES[name].title if known else None,
        )
        printed = _printed(study, _dataset(results), name)
        panel.plot(list(printed.values()), [row + shift for row in printed], "o", ms=4, color=PAPER)
        ends = [factor * (mean + (deviation or 0.0)) for mean, deviation in known.values()]
        highest = max([highest, *ends, *printed.values()])
    for row in range(len(study.rows)):
        if row not in results or not results[row].seeds:
            panel.text(0, row, " not run", va="center", fontsize=7, color="#777777")
    panel.set_yticks(range(len(study.rows)), _row_names(study), fontsize=8)
    panel.set_ylim(len(study.rows) - 0.5, -0.5)
    panel.set_xlim(0, 1.05 * highest or 1)  # all may be nought
    panel.grid(axis="x", alpha=0.25)


def _lines(
    panel: Any, study: Study, results: Mapping[int, CellResult], names: Sequence[str], factor: float
) -> None:
    for number, name in enumerate(names):
        known = _known(results, name)
        panel.errorbar(
            list(known),
            [factor * mean for mean, _ in known.values()],
            yerr=[factor * (deviation or 0.0) for _, deviation in known.values()],
            marker="o",
            ms=4,
            color=COLOURS[number % len(COLOURS)],
            label=OUTCOMES[name].title if known else None,
        )
        printed = _printed(study, _dataset(results), name)
        panel.plot(list(printed), list(printed.values()), "o", ms=4, color=PAPER)
    panel.set_xticks(range(len(study.rows)), _row_names(study), fontsize=8)
    panel.set_xlim(-0.3, len(study.rows) - 0.7)
    panel.set_xlabel(" ".join(study.columns), fontsize=9)
    highest = max([0.0, *(top for line in panel.lines for top in line.get_ydata())])
    panel.set_ylim(0, 1.05 * highest or 1)
    panel.grid(alpha=0.25)


def _known(results: Mapping[int, CellResult], name: str) -> dict[int, tuple[float, float | None]]:
    """Mean and deviation by row, where there are any."""
    means = {row: cell.mean(name) for row, cell in sorted(results.items()) if cell.seeds}
    return {row: value for row, value in means.items() if value is not None}


def _dataset(results: Mapping[int, CellResult]) -> str | None:
    return next((cell.dataset for cell in results.values()), None)


def _printed(study: Study, dataset: str | None, name: str) -> dict[int, float]:
    """The paper's figures of a metric by row, where it has the data set."""
    title = OUTCOMES[name].title
    if dataset not in study.paper_datasets or title not in study.paper_metrics:
        return {}
    place, column = study.paper_datasets.index(dataset), study.paper_metrics.index(title)
    figures = {row: each.paper[place][column] for row, each in enumerate(study.rows) if each.paper}
    return {row: value for row, value in figures.items() if value is not None}


def _row_names(study: Study) -> list[str]:
    return [", ".join(name for name in row.names if name != "-") for row in study.rows]
