"""The curve of the probability of detection as one vector picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.certificate.pod import Floats, Pod

POINTS = 200
CURVE, DATA = "#0b6e99", "#56616e"


def pod_picture(
    pod: Pod, sizes: Floats, found: Floats, bins: Sequence[Mapping[str, Any]], unit: str
) -> bytes:
    """SVG: the curve with its lower bound, every defect as a stroke (found above, missed below), the bins.

    Args:
        pod: the fit; without a curve the defects are drawn alone.
        sizes: (N,) of the defects.
        found: (N,) 1 where it was found, else 0.
        bins: rows of `recall_by_size`.
        unit: of the sizes.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for height, value in ((1.03, 1), (-0.03, 0)):
        mine = sizes[found == value]
        axes.plot(mine, np.full(len(mine), height), "|", color=DATA, ms=7, alpha=0.4)
    for row in bins:
        middle = (row["least"] * row["most"]) ** 0.5
        ends = [[row["share"] - row["low"]], [row["high"] - row["share"]]]
        axes.errorbar(middle, row["share"], yerr=ends, fmt="o", color=DATA, ms=4, capsize=3, lw=1)
    if pod.curve is not None:
        along = np.geomspace(pod.curve.least, pod.curve.most, POINTS)
        axes.plot(along, pod.curve.at(along), "-", color=CURVE, lw=1.8, label="POD")
        axes.plot(along, pod.curve.lower(along), "--", color=CURVE, lw=1.2, label="lower 95 % bound")
        for name, label in (("a90", "a90"), ("a90_95", "a90/95")):
            size = pod.sizes[name]
            if size is not None:
                axes.axvline(size, color=CURVE, lw=0.8, alpha=0.6)
                axes.annotate(label, (size, 0.06), fontsize=8, rotation=90, ha="right")
        axes.legend(fontsize=8, frameon=False, loc="center right")
    axes.axhline(0.9, color=DATA, lw=0.6, ls=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.set_ylim(-0.07, 1.07)
    axes.set_xlabel(f"size of the defect, {unit}", fontsize=9)
    axes.set_ylabel("share found", fontsize=9)
    axes.grid(alpha=0.25)
    stream = io.BytesIO()
    # Words stay words, and the same figures give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "certificate"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
