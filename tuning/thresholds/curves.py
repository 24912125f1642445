"""Adaptive against fixed thresholds (the paper's Fig. 7), and the effect of each knob around the best."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuning.space import Dimension
from tuning.thresholds.objective import ThresholdObjective, Trial, Values
from tuning.thresholds.search import c_dimension

POINTS = 31  # on a curve
PAPER_C = 0.1
# A context that is told the number of points to come, and whose function is called after each.
Shown = Callable[[int], AbstractContextManager[Callable[[], object]]]


def unshown(points: int) -> AbstractContextManager[Callable[[], object]]:
    """No progress."""
    return nullcontext(lambda: None)


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


def threshold_curves(objective: ThresholdObjective, values: Values, *, shown: Shown = unshown) -> Curves:
    """Both curves over the range of thresholds that the maps can tell apart.

    Args:
        objective: objective that measures settings.
        values: all other settings, laid over the project's; C among them is not read.
        shown: progress of the points.
    """
    maps = [each for each in objective.categories if len(each.judged)]
    floors = [each.judged.median for each in maps]
    # Points of the searched grid, so that their components were found already.
    cs = shown_points(c_dimension(maps), PAPER_C)
    levels = (
        np.linspace(min(floors), max(float(each.maxima.max()) for each in maps), POINTS).round(4).tolist()
    )
    adaptive: list[dict[str, dict[str, float]]] = []
    fixed: list[dict[str, dict[str, float]]] = []
    with shown(len(cs) + len(levels)) as on_point:
        for c in cs:
            adaptive.append(objective.by_category({**values, "boxes.c": c}))
            on_point()
        for level in levels:
            fixed.append(objective.by_category(values, fixed=level))
            on_point()
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


def shown_points(dimension: Dimension, chosen: Any) -> list[Any]:
    """Points of a curve: all listed values of a dimension, or at most `POINTS` of its range and `chosen`."""
    if dimension.values is not None:
        return list(dimension.values)
    if dimension.log or (dimension.step is None and not dimension.whole):
        ends = (dimension.low, dimension.high, POINTS)
        between = np.geomspace(*ends) if dimension.log else np.linspace(*ends)
        points = [dimension.value(float(v)) for v in between.round(4)]
        if dimension.whole:
            points = [round(point) for point in points]
        points = [point for point in points if dimension.low <= point <= dimension.high]
    else:
        grid = dimension.points()
        points = list(grid[:: -(-len(grid) // POINTS)])
    return sorted({*points, chosen})


@dataclass(frozen=True)
class Summit:
    """The best combination, and what each setting does around it.

    Attributes:
        trials: all trials in order, with those of the curves.
        best: the best of them: no point of a curve lies above it.
        knobs: the metric over each searched key with all others at their best.
    """

    trials: list[Trial]
    best: Trial
    knobs: dict[str, list[tuple[Any, float]]]


def summit(
    objective: ThresholdObjective,
    trials: Sequence[Trial],
    space: Sequence[Dimension],
    own: Values,
    *,
    shown: Shown = unshown,
) -> Summit:
    """Draw each setting around the best trial; where a point is better, go there and draw anew.

    Of trials that are equally good the one with the most values of the project's own is the best: a setting
    that makes no difference is left as it is.

    Args:
        objective: objective that measures a combination.
        trials: trials of a search, at least one.
        space: searched keys.
        own: the project's values of these keys; none where a trial can't have them.
        shown: progress of the points that are not tried yet.
    """

    def rank(trial: Trial) -> tuple[float, int]:
        return trial.value, sum(trial.values[key] == value for key, value in own.items())

    tried = {_key(trial.values, space): trial for trial in trials}
    while True:
        best = max(tried.values(), key=rank)
        around = {
            dimension.key: [
                {**best.values, dimension.key: point}
                for point in shown_points(dimension, best.values[dimension.key])
            ]
            for dimension in space
        }
        missing = {
            key: values
            for row in around.values()
            for values in row
            if (key := _key(values, space)) not in tried
        }
        with shown(len(missing)) as on_point:
            for key, values in missing.items():
                tried[key] = objective.trial(values)
                on_point()
        if max(map(rank, tried.values())) == rank(best):
            knobs = {
                name: [(values[name], tried[_key(values, space)].value) for values in row]
                for name, row in around.items()
            }
            return Summit(list(tried.values()), best, knobs)


def _key(values: Values, space: Sequence[Dimension]) -> tuple[Any, ...]:
    return tuple(values[dimension.key] for dimension in space)
