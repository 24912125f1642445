"""The curves of a transfer study as one picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.dense import Regime
from tuning.transfer.statistics import Curve
from tuning.transfer.text import TITLES, Group

COLOURS = ("#0b6e99", "#c2571a", "#4b8b3b", "#8a4f9e", "#a08400", "#5a5a5a")
MOST_WITHIN = 4  # lines whose names leave room for the curves; of more they stand beside the panel
STYLES: Mapping[Regime, Any] = {
    "full": "-",
    "frozen": "--",
    "layerwise": ":",
    "norms": "-.",
    "lora": (0, (5, 1, 1, 1, 1, 1)),
    "linear_then_full": (0, (9, 3)),
}


def transfer_picture(groups: Sequence[Group]) -> bytes:
    """PNG: a panel for each data set and task, a line for each start and regime, a band of its seeds."""
    from matplotlib.figure import Figure

    groups = [group for group in groups if group.last]  # a task that has not been run gets no panel
    panels = list(dict.fromkeys((group.data, group.task) for group in groups))
    starts = list(dict.fromkeys(group.start for group in groups))
    columns = min(2, len(panels)) or 1
    rows = -(-len(panels) // columns) or 1
    beside = len({(group.start, group.regime) for group in groups}) > MOST_WITHIN
    width = 8.2 if beside else 5.6
    figure = Figure(figsize=(width * columns, 3.9 * rows), layout="constrained")
    for place, (data, task) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, place)
        for group in groups:
            if (group.data, group.task) != (data, task):
                continue
            colour = COLOURS[starts.index(group.start) % len(COLOURS)]
            steps = sorted({step for curve in group.curves.values() for step, _ in curve})
            values = np.array([_at(steps, curve) for curve in group.curves.values() if curve])
            label = f"{group.start}, {group.regime}"
            axes.plot(
                steps,
                100 * values.mean(axis=0),
                linestyle=STYLES[group.regime],
                color=colour,
                label=label,
                marker="o",
                ms=3,
            )
            axes.fill_between(
                steps, 100 * values.min(axis=0), 100 * values.max(axis=0), color=colour, alpha=0.12, lw=0
            )
        axes.set_title(f"{data}: {task}", fontsize=10)
        axes.set_xlabel("iterations")
        axes.set_ylabel(f"{TITLES[task]}, %")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        if axes.get_lines():
            if beside:
                axes.legend(fontsize=8, handlelength=6, loc="center left", bbox_to_anchor=(1, 0.5))
            else:
                axes.legend(fontsize=8, handlelength=4)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _at(steps: Sequence[int], curve: Curve) -> npt.NDArray[np.float64]:
    """A curve's scores at these iterations; NaN before its first."""
    measured_steps, scores = np.array([step for step, _ in curve]), np.array([score for _, score in curve])
    interpolated: npt.NDArray[np.float64] = np.interp(np.array(steps), measured_steps, scores, left=np.nan)
    return interpolated
