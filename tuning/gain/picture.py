"""The gains of a study as one vector picture: each seed a dot, each mean with its interval."""

import io
from collections.abc import Sequence

from tuning.gain.results import SetResult
from tuning.gain.section import GainSection
from tuning.gain.text import NAMES, arm_name

COLOUR, CEILING_COLOUR = "#0b6e99", "#8a8a8a"
ROW = 0.42  # inches


def gain_picture(sets: Sequence[SetResult], section: GainSection) -> bytes:
    """SVG: a row for each arm with its pair, in points of the deciding figure; the ceiling in grey."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    measured = [
        (data, arm, gain)
        for data in sets
        for arm in data.arms
        if arm.paired and (gain := data.gain(arm, section.metric)) is not None
    ]
    figure = Figure(figsize=(8.6, 1.3 + ROW * max(1, len(measured))), layout="constrained")
    axes = figure.add_subplot()
    names = []
    for place, (data, arm, gain) in enumerate(measured):
        colour = CEILING_COLOUR if arm.is_ceiling else COLOUR
        points = [100 * value for value in gain.values]
        axes.plot(points, [place] * len(points), "o", color=colour, ms=4, alpha=0.45, mew=0)
        if gain.interval is not None:
            axes.plot([100 * end for end in gain.interval], [place] * 2, "-", color=colour, lw=2)
        axes.plot([100 * gain.mean], [place], "D", color=colour, ms=6)
        names.append(f"{data.name}, {arm.labels} labels, {arm.epochs} epochs: {arm_name(arm)}")
    axes.axvline(0, color="#333333", lw=1)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    axes.set_xlabel(f"gain in points of {NAMES[section.metric]}: seeds, mean and 95 % interval", fontsize=9)
    axes.grid(axis="x", alpha=0.25)
    stream = io.BytesIO()
    # Words stay words, and the same figures give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gain"}):
        # The label below may be wider than the axes.
        figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return stream.getvalue()
