"""Learning curves as one vector picture: runs as dots, the fitted law and its interval."""

import io
from collections.abc import Sequence

import numpy as np

from tuning.forecast.results import StartResult
from tuning.forecast.section import ForecastSection
from tuning.forecast.text import NAMES, targets_of

COLOURS = ("#0b6e99", "#c2571a", "#4a7c2c", "#7a4a9c", "#8a8a8a")
POINTS = 60


def curves_picture(results: Sequence[StartResult], section: ForecastSection) -> bytes:
    """SVG: figures in percent over the number of labels, on a logarithmic scale."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for place, result in enumerate(results):
        colour = COLOURS[place % len(COLOURS)]
        if not result.runs:
            continue
        points = [(run.size, 100 * run.figure) for run in result.runs]
        axes.plot(*zip(*points, strict=True), "o", color=colour, ms=4, alpha=0.6, mew=0, label=result.name)
        ends = [result.sizes[0], targets_of(result, section)[-1]]
        counts = np.geomspace(min(ends[0], *section.targets), ends[1], POINTS)
        if result.curve is None:
            continue
        made = result.curve.at(counts)
        axes.fill_between(counts, 100 * made.low, 100 * made.high, color=colour, alpha=0.15, lw=0)
        axes.plot(counts, 100 * made.expected, "-", color=colour, lw=1.5)
    axes.set_xscale("log")
    ticks = sorted({*section.targets, *(size for result in results for size in result.sizes)})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8, rotation=30)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("labelled images with objects", fontsize=9)
    axes.set_ylabel(f"{NAMES[section.metric]} in percent, 95 % interval", fontsize=9)
    axes.grid(alpha=0.25)
    if any(result.runs for result in results):
        axes.legend(fontsize=8, frameon=False)
    stream = io.BytesIO()
    # Words stay words, and the same figures give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "forecast"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
