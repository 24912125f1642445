"""The search for thresholds over stored maps: Optuna or a grid. No Ray here."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import optuna

from cluster.errors import UserError, nearest
from pipelines.boxes import PseudoBoxSettings
from tuning.space import Dimension, grid
from tuning.thresholds.judged_maps import CategoryMaps, TruthKind
from tuning.thresholds.metrics import METRICS
from tuning.thresholds.objective import FEW_WEIGHT, ThresholdObjective, Trial, Values


def default_space(categories: Sequence[CategoryMaps], settings: PseudoBoxSettings) -> tuple[Dimension, ...]:
    """The space that is searched when nothing is named: ranges that these maps can tell apart.

    C reaches from 0 down to the maps' ordinary values, and δ over quantiles of the scores. The weights of the
    maps' parts are searched too where the parts are stored.
    """
    scores = np.concatenate([maps.scores for maps in categories])
    deltas = sorted({round(float(q), 4) for q in np.quantile(scores, np.linspace(0, 0.9, 10))})
    space = [
        c_dimension(categories),
        Dimension("boxes.delta", ("auto", *deltas)),
        Dimension("boxes.top_k", (1, 2, 3, 5, 10, 20, 50)),
        Dimension("boxes.nms_iou", (0.3, 0.5, 0.7, 0.8, 0.9)),
        Dimension("boxes.min_area", ("released", 0, 10, 20, 50, 100, 200, 500)),
    ]
    if all(maps.part_maps is not None for maps in categories):
        space.append(Dimension(FEW_WEIGHT, (0.0, 0.25, 0.5, 0.75, 1.0)))
    # The project's own setting can be chosen too.
    return tuple(_with(dimension, settings) for dimension in space)


def c_dimension(categories: Sequence[CategoryMaps]) -> Dimension:
    """The C that these maps can tell apart: from 0 down to their ordinary values, in fifty steps."""
    floor = [maps.judged.median for maps in categories if len(maps.judged)]
    tops = [float(maps.maxima.mean()) for maps in categories if len(maps.judged)]
    depth = max((top - low for top, low in zip(tops, floor, strict=True)), default=0.5)
    steps = 50
    step = max(0.002, round(min(2.0, depth) / steps, 3))
    return Dimension("boxes.c", None, 0.0, round(step * steps, 3), step)


def _with(dimension: Dimension, settings: PseudoBoxSettings) -> Dimension:
    section, _, name = dimension.key.rpartition(".")
    if section != "boxes" or dimension.values is None or getattr(settings, name) in dimension.values:
        return dimension
    words = [value for value in dimension.values if isinstance(value, str)]
    numbers = [value for value in dimension.values if not isinstance(value, str)]
    return Dimension(dimension.key, (*words, *sorted([*numbers, getattr(settings, name)])))


def check_metric(metric: str | None, kind: TruthKind) -> str:
    """The named metric, or the first that this truth allows.

    Raises:
        UserError: there is no such metric, or this truth doesn't give it.
    """
    if metric is None:
        return METRICS[kind][0]
    every = dict.fromkeys(name for names in METRICS.values() for name in names)
    if metric not in every:
        raise UserError(f'No stage produces a metric "{metric}" of thresholds; {nearest(metric, every)}')
    if metric not in METRICS[kind]:
        what = {"none": "no labelled defect", "boxes": "boxes but no masks", "masks": "masks"}[kind]
        raise UserError(
            f"The metric {metric} can't be had: the training split has {what}; valid here: "
            f"{', '.join(METRICS[kind])}."
        )
    return metric


def search(
    objective: ThresholdObjective,
    space: Sequence[Dimension],
    *,
    trials: int,
    seed: int,
    exhaustive: bool = False,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Try combinations: the project's own, then Optuna's (TPE), then single steps from the best; or all.

    Args:
        objective: objective that measures a combination.
        space: searched keys, of `boxes.*` and `maps.kead.few_weight`.
        trials: number of trials; with `exhaustive` it is not read.
        seed: seed of Optuna's sampler; the same seed tries the same.
        exhaustive: whether to try the full grid instead.
        on_trial: function called after each trial.

    Returns:
        All trials in order, each combination once.
    """
    done: dict[tuple[Any, ...], Trial] = {}

    def attempt(values: Values) -> Trial:
        key = tuple(values[dimension.key] for dimension in space)
        if key not in done:
            done[key] = objective.trial(values)
            on_trial(done[key])
        return done[key]

    if exhaustive:
        for values in grid(space):
            attempt(values)
        return list(done.values())
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(10, trials // 6))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    if (project_values := own_values(objective, space)) is not None:
        attempt(project_values)
    steps = trials // 4  # for single steps from the best, which TPE rarely tries

    def ask(count: int) -> None:
        for _ in range(count):
            asked = study.ask({dimension.key: dimension.distribution() for dimension in space})
            values = {dimension.key: dimension.value(asked.params[dimension.key]) for dimension in space}
            study.tell(asked, attempt(values).value)

    ask(max(1, trials - steps))
    while len(done) < trials:
        best = max(done.values(), key=lambda trial: trial.value)
        before = len(done)
        for values in _neighbours(best.values, space):
            if len(done) >= trials:
                break
            if attempt(values).value > best.value:
                break
        else:
            if len(done) == before:  # no step is left that wasn't tried
                break
    ask(trials - len(done))
    return list(done.values())


def own_values(objective: ThresholdObjective, space: Sequence[Dimension]) -> dict[str, Any] | None:
    """The project's own values of the searched keys; None where one lies outside the space."""
    values = {}
    for dimension in space:
        name = dimension.key.removeprefix("boxes.")
        values[dimension.key] = (
            objective.few_weight if dimension.key == FEW_WEIGHT else getattr(objective.settings, name)
        )
        try:
            dimension.parameter(values[dimension.key])
        except ValueError:
            return None
    return values


def _neighbours(values: Values, space: Sequence[Dimension]) -> Iterable[dict[str, Any]]:
    """Combinations that differ in one key: all its listed values, or the next points of its range."""
    for dimension in space:
        value = values[dimension.key]
        if dimension.values is not None:
            others = [other for other in dimension.values if other != value]
        else:
            step = dimension.step or (1 if dimension.whole else (dimension.high - dimension.low) / 50)
            moves = [value + sign * n * step for n in (1, 2, 4) for sign in (1, -1)]
            others = [dimension.value(v) for v in moves if dimension.low - 1e-9 <= v <= dimension.high + 1e-9]
        for other in others:
            yield {**values, dimension.key: other}
