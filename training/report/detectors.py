"""The report's closer look at detectors: precision over recall by class, and which classes are confused."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from training.report.charts import SERIES_STYLES, Series, lines_chart
from training.report.data import StartRow

MOST_CLASSES = 24  # that are shown, with a chart and a column each


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion matrix: its count, share of its row in percent (for the shade), and its kind."""

    count: int
    share: int
    right: bool


def precision_charts(starts: Sequence[StartRow]) -> list[tuple[str, Markup]]:
    """A chart a class with a line a start, the class with the largest spread first.

    Args:
        starts: rows in the order of their colours; those without curves are left out.
    """
    measured = [(start.start, start.figures) for start in starts if start.figures is not None]
    names = {name for _, figures in measured for name in figures.curves}
    spread = {
        name: [figures.map50.get(name, 0.0) for _, figures in measured if name in figures.curves]
        for name in names
    }
    order = sorted(names, key=lambda name: (min(spread[name]) - max(spread[name]), name))
    charts = []
    for name in order[:MOST_CLASSES]:
        lines = [
            Series(
                start,
                [(step / 100, value) for step, value in enumerate(figures.curves[name])],
                f"{figures.map50[name] * 100:.1f}",
            )
            for start, figures in measured[:SERIES_STYLES]
            if name in figures.curves
        ]
        charts.append((name, lines_chart(f"{name}: precision over recall", lines, across="recall")))
    return charts


def confusion_rows(start: StartRow) -> list[tuple[str, list[Cell]]]:
    """The rows of a start's confusion matrix by true class, the background last; none without figures."""
    if start.figures is None:
        return []
    last = len(start.figures.names) - 1
    rows = []
    for place, (name, counts) in enumerate(zip(start.figures.names, start.figures.confusion, strict=True)):
        total = sum(counts) or 1
        cells = [
            Cell(count, round(100 * count / total), column == place and place != last)
            for column, count in enumerate(counts)
        ]
        rows.append((name, cells))
    return rows
