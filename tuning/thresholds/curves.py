"""Adaptive against fixed thresholds (the paper's Fig. 7), and the effect of each knob around the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.space import Dimension
from tuning.thresholds.search import ThresholdObjective, Values

POINTS = 31  # on a curve
PAPER_C = 0.1


@dataclass(frozen=True)
class Curves:
    """The metric over thresholds, with all other settings of the project.

    Attributes:
        metric: name of the metric.
        c: values of C.
        adaptive: the metric at each C by category; `all` is the mean over categories.
        fixed_t: fixed thresholds.
        fixed: the metric at each fixed threshold, likewise.
    """

    metric: str
    c: list[float]
    adaptive: dict[str, list[float]]
    fixed_t: list[float]
    fixed: dict[str, list[float]]

    def best(self) -> dict[str, Any]:
        """The best of each kind, which Fig. 7 compares."""
        names = [name for name in self.adaptive if name != ALL]
        place, at = int(np.argmax(self.adaptive[ALL])), int(np.argmax(self.fixed[ALL]))
        each = [max(self.fixed[name]) for name in names]
        return {
            "adaptive": {"value": self.adaptive[ALL][place], "c": self.c[place]},
            "adaptive_paper_c": {
                "value": float(np.interp(PAPER_C, self.c, self.adaptive[ALL])),
                "c": PAPER_C,
            },
            "fixed_one_for_all": {"value": self.fixed[ALL][at], "threshold": self.fixed_t[at]},
            "fixed_best_of_each": {
                "value": float(np.mean(each)),
                "thresholds": {name: self.fixed_t[int(np.argmax(self.fixed[name]))] for name in names},
            },
        }

    def document(self) -> dict[str, Any]:
        """The curves as JSON-able data."""
        return {
            "metric": self.metric,
            "c": self.c,
            "adaptive": self.adaptive,
            "fixed_threshold": self.fixed_t,
            "fixed": self.fixed,
            "best": self.best(),
        }


ALL = "all"


def threshold_curves(objective: ThresholdObjective, values: Values, *, held_out: bool = False) -> Curves:
    """Both curves over the range of thresholds that the maps can tell apart.

    Args:
        objective: objective that measures settings.
        values: all other settings, laid over the project's; C among them is not read.
        held_out: whether to measure on the test split.
    """
    maps = [each for each in objective.categories if len(each.held_out if held_out else each.judged)]
    tops = [float(each.maxima.mean()) for each in maps]
    floors = [(each.held_out if held_out else each.judged).median for each in maps]
    depth = min(2.0, max(top - floor for top, floor in zip(tops, floors, strict=True)))
    cs = sorted({*np.linspace(0, depth, POINTS).round(4).tolist(), PAPER_C})
    levels = (
        np.linspace(min(floors), max(float(each.maxima.max()) for each in maps), POINTS).round(4).tolist()
    )
    adaptive = [objective.by_category({**values, "boxes.c": c}, held_out=held_out) for c in cs]
    fixed = [objective.by_category(values, fixed=level, held_out=held_out) for level in levels]
    return Curves(
        objective.metric,
        cs,
        _curves(adaptive, objective.metric),
        levels,
        _curves(fixed, objective.metric),
    )


def _curves(rows: Sequence[Mapping[str, Mapping[str, float]]], metric: str) -> dict[str, list[float]]:
    names = list(rows[0])
    curves = {name: [row[name][metric] for row in rows] for name in names}
    curves[ALL] = [float(np.mean([row[name][metric] for name in names])) for row in rows]
    return curves


def sensitivity(
    objective: ThresholdObjective, best: Values, space: Sequence[Dimension]
) -> dict[str, list[tuple[Any, float]]]:
    """The metric over each searched knob with all others at their best."""
    by_key = {}
    for dimension in space:
        if dimension.values is not None:
            points = list(dimension.values)
        else:
            between = np.linspace(dimension.low, dimension.high, POINTS)
            whole = (
                [dimension.value(int(v)) for v in between] if dimension.whole else between.round(4).tolist()
            )
            points = list(dict.fromkeys(whole))
        by_key[dimension.key] = [
            (point, objective.trial({**best, dimension.key: point}).value) for point in points
        ]
    return by_key
