"""The curves of a threshold search as one picture."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.verdicts import LEAST_GAIN
from tuning.thresholds.curves import ALL, PAPER_C, Curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {
    "mask_iou": "mask IoU",
    "box_f1": "F1 of boxes at IoU 0.5",
    "box_ap50": "AP of boxes at IoU 0.5",
    "plausibility": "plausibility (no truth)",
}
ADAPTIVE, FIXED = "#0b6e99", "#c2571a"
SAME = 1e-9  # figures closer than this are one, apart from rounding
LEAST_SPAN = 0.05  # of the knobs' scale
MANY = 12  # categories; with more, single curves would hide each other


def threshold_picture(
    curves: Curves, knobs: Mapping[str, Sequence[tuple[Any, float]]], best: Mapping[str, Any]
) -> bytes:
    """PNG: adaptive and fixed thresholds with the project's settings, then each knob around the best.

    Knobs share one scale, so that what moves little looks so; what moves nothing says so.

    Args:
        curves: curves from `threshold_curves`.
        knobs: points of each knob from `summit`; may be empty.
        best: chosen values, which the picture marks.
    """
    stream = io.BytesIO()
    threshold_figure(curves, knobs, best).savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def threshold_figure(
    curves: Curves, knobs: Mapping[str, Sequence[tuple[Any, float]]], best: Mapping[str, Any]
) -> "Figure":
    """`threshold_picture` before it is drawn: the curves' axes first, then each knob's."""
    from matplotlib.figure import Figure

    columns = max(2, min(3, len(knobs) or 2))
    rows = 1 + -(-len(knobs) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.3 * rows), layout="constrained")
    label = TITLES[curves.metric]
    upper, lower = _halves(figure, rows - 1)
    if knobs:
        upper.suptitle("thresholds alone, all other settings the project's own", fontsize=10)
        lower.suptitle("one setting at a time, all others as chosen", fontsize=10)
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
    values = [value for points in knobs.values() for _, value in points]
    limits = _limits(values)
    for place, (key, points) in enumerate(knobs.items()):
        axes = lower.add_subplot(rows - 1, columns, place + 1)
        axes.set_ylim(*limits)
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        axes.set_ylabel(label, fontsize=8)
        _knob(axes, key, points, best.get(key))
    return figure


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


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the knobs' common scale: all figures, and a span in which rounding is no hill."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = max(0.08 * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return max(0.0, low - margin), high + margin


def _remark(values: Sequence[float]) -> str:
    """What a knob's curve shows where it shows little; else nothing."""
    spread = max(values) - min(values)
    if len(values) < 2:
        return "one value only"
    if spread < SAME:
        return "makes no difference here"
    return f"moves it by {spread:.1g} at most" if spread < LEAST_GAIN else ""


def _knob(axes: Any, key: str, points: Sequence[tuple[Any, float]], chosen: Any) -> None:
    names = [str(value) for value, _ in points]
    figures = [figure for _, figure in points]
    numeric = all(isinstance(value, int | float) for value, _ in points) and len(points) > 12
    x = [value for value, _ in points] if numeric else list(range(len(points)))
    if remark := _remark(figures):
        axes.text(0.5, 0.04, remark, transform=axes.transAxes, ha="center", fontsize=8, color=FIXED)
    axes.plot(x, figures, color="0.25", lw=1.2, marker="" if numeric else "o", ms=4)
    if not numeric:
        axes.set_xticks(x, names, rotation=35, fontsize=7, ha="right")
    if chosen is not None:
        axes.axvline(chosen if numeric else names.index(str(chosen)), color=ADAPTIVE, lw=1, label="chosen")
        axes.legend(fontsize=7)
    axes.set_title(key, fontsize=9)
    axes.tick_params(axis="y", labelsize=8)
