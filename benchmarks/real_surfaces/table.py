"""The proof's table: means and deviations over seeds, differences of rows, as markdown and JSON."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Column = tuple[str, str]  # data set, number of labels


@dataclass(frozen=True)
class Cell:
    """One finetuning's result.

    Attributes:
        row: the start's name.
        data, labels: the column's data set and labels.
        seed: the finetuning's random seed.
        map50, map50_95: COCO AP on the held-out half, 0–1.
    """

    row: str
    data: str
    labels: str
    seed: int
    map50: float
    map50_95: float


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of some values, in the values' unit; one value has no deviation."""

    mean: float
    deviation: float | None
    count: int

    def text(self) -> str:
        """`54.1 ± 0.8`, of values that are shares as percent."""
        if self.deviation is None:
            return f"{self.mean * 100:.1f}"
        return f"{self.mean * 100:.1f} ± {self.deviation * 100:.1f}"


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one value."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.mean(values), deviation, len(values))


def grouped(cells: Iterable[Cell], metric: str) -> dict[str, dict[Column, dict[int, float]]]:
    """Values by row, column and seed, in the order of the cells."""
    values: dict[str, dict[Column, dict[int, float]]] = {}
    for cell in cells:
        column = values.setdefault(cell.row, {}).setdefault((cell.data, cell.labels), {})
        column[cell.seed] = float(getattr(cell, metric))
    return values


def gain(cells: Iterable[Cell], row: str, over: str, metric: str = "map50") -> Spread | None:
    """How much better one row is than another: by seed and column, then the mean of columns for each seed.

    Rows of a seed have learnt from the same images, so the deviation is that of paired differences.

    Args:
        cells: the table's cells.
        row, over: names; the difference is `row` less `over`.
        metric: the cells' metric.

    Returns:
        Over the seeds for which both rows have all columns that either has; None without such a seed.
    """
    by_row = grouped(cells, metric)
    ours, theirs = by_row.get(row, {}), by_row.get(over, {})
    columns = sorted(ours.keys() | theirs.keys())
    differences = []
    for seed in sorted({seed for column in ours.values() for seed in column}):
        pairs = [(ours.get(c, {}).get(seed), theirs.get(c, {}).get(seed)) for c in columns]
        whole = [(a, b) for a, b in pairs if a is not None and b is not None]
        if len(whole) == len(pairs):
            differences.append(statistics.mean(a - b for a, b in whole))
    return spread(differences) if differences else None


def markdown(cells: Sequence[Cell], minutes: Mapping[str, float], metric: str = "map50") -> str:
    """A table, rows by start, columns by data set and labels; a missing cell is a dash.

    Args:
        cells: those that are finished.
        minutes: minutes of pretraining by row; absent where there was none.
        metric: the name of the cells' figure to show.
    """
    by_row = grouped(cells, metric)
    columns = list(dict.fromkeys((cell.data, cell.labels) for cell in cells))
    heads = [f"{data}, {labels} labels" for data, labels in columns]
    lines = [f"| start | {' | '.join(heads)} | pretraining |", f"|---|{'---|' * (len(columns) + 1)}"]
    for row, by_column in by_row.items():
        texts = [spread(list(by_column[c].values())).text() if c in by_column else "–" for c in columns]
        time = f"{minutes[row]:.0f} min" if row in minutes else "none"
        lines.append(f"| {row} | {' | '.join(texts)} | {time} |")
    return "\n".join(lines) + "\n"


def document(cells: Sequence[Cell], minutes: Mapping[str, float]) -> dict[str, Any]:
    """All single values and the summary, for JSON."""
    summary = [
        {"row": row, "data": data, "labels": labels, "metric": metric, **asdict(spread(list(seeds.values())))}
        for metric in ("map50", "map50_95")
        for row, by_column in grouped(cells, metric).items()
        for (data, labels), seeds in by_column.items()
    ]
    return {
        "cells": [asdict(cell) for cell in cells],
        "summary": summary,
        "pretraining_minutes": dict(minutes),
    }
