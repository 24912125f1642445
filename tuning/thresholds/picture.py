"""The curves of a threshold search as one picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from tuning.thresholds.curves import ALL, PAPER_C, Curves

TITLES = {
    "mask_iou": "mask IoU",
    "box_f1": "F1 of boxes at IoU 0.5",
    "box_ap50": "AP of boxes at IoU 0.5",
    "plausibility": "plausibility (no truth)",
}
ADAPTIVE, FIXED = "#0b6e99", "#c2571a"
MANY = 12  # categories; with more, single curves would hide each other


def threshold_picture(
    curves: Curves, knobs: Mapping[str, Sequence[tuple[Any, float]]], best: Mapping[str, Any]
) -> bytes:
    """PNG: adaptive and fixed thresholds, then each knob around the best.

    Args:
        curves: curves from `threshold_curves`.
        knobs: points of each knob from `sensitivity`; may be empty.
        best: chosen values, which the picture marks.
    """
    from matplotlib.figure import Figure

    columns = max(2, min(3, len(knobs) or 2))
    rows = 1 + -(-len(knobs) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.3 * rows), layout="constrained")
    label = TITLES[curves.metric]
    upper, lower = _halves(figure, rows - 1)
    left, right = upper.subplots(1, 2)
    _lines(left, curves.c, curves.adaptive, ADAPTIVE, "adaptive: T = mean max − C", "C")
    left.axvline(PAPER_C, color="0.6", lw=1, ls=":", label="the paper's C = 0.1")
    _lines(right, curves.fixed_t, curves.fixed, FIXED, "one fixed T for all", "T")
    best_of = curves.best()
    right.axhline(best_of["adaptive"]["value"], color=ADAPTIVE, lw=1, ls="--", label="best adaptive")
    top = max(max(curves.adaptive[ALL]), max(curves.fixed[ALL]), *map(max, curves.adaptive.values()))
    for axes in (left, right):
        axes.set_ylim(0, top * 1.18 if top > 0 else 1)
        axes.set_ylabel(label)
        axes.legend(fontsize=8, loc="upper right", framealpha=0.9)
    for place, (key, points) in enumerate(knobs.items()):
        axes = lower.add_subplot(rows - 1, columns, place + 1)
        _knob(axes, key, points, best.get(key))
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _halves(figure: Any, rows: int) -> tuple[Any, Any]:
    """The part for the two curves, and the part of `rows` rows for the knobs."""
    if not rows:
        return figure, None
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, rows])
    return upper, lower


def _lines(
    axes: Any, x: Sequence[float], by_name: Mapping[str, Sequence[float]], color: str, title: str, below: str
) -> None:
    categories = [name for name in by_name if name != ALL]
    if 1 < len(categories) <= MANY:
        for name in categories:
            axes.plot(x, by_name[name], color=color, lw=0.8, alpha=0.35)
        axes.plot([], [], color=color, lw=0.8, alpha=0.35, label="single categories")
    axes.plot(x, by_name[ALL], color=color, lw=2, label="mean" if len(categories) > 1 else categories[0])
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(below)


def _knob(axes: Any, key: str, points: Sequence[tuple[Any, float]], chosen: Any) -> None:
    names = [str(value) for value, _ in points]
    figures = [figure for _, figure in points]
    numeric = all(isinstance(value, int | float) for value, _ in points) and len(points) > 12
    x = [value for value, _ in points] if numeric else list(range(len(points)))
    axes.plot(x, figures, color="0.25", lw=1.2, marker="" if numeric else "o", ms=4)
    if not numeric:
        axes.set_xticks(x, names, rotation=35, fontsize=7, ha="right")
    if chosen is not None:
        axes.axvline(chosen if numeric else names.index(str(chosen)), color=ADAPTIVE, lw=1, label="chosen")
        axes.legend(fontsize=7)
    axes.set_title(key, fontsize=9)
    axes.tick_params(axis="y", labelsize=8)
