"""Figures of a transfer study's curves: last scores, and iterations to a score."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

Curve = Sequence[tuple[int, float]]  # iteration, score; iterations rise


@dataclass(frozen=True)
class Spread:
    """Mean over seeds, and their standard deviation (n − 1; None for a single seed)."""

    mean: float
    deviation: float | None
    count: int


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and deviation of the values that are no NaN; None where there is none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def iterations_to(curve: Curve, score: float) -> float | None:
    """The iteration at which a curve first reaches a score, interpolated between two measurements.

    Args:
        curve: measured iterations and scores.
        score: score to reach.

    Returns:
        None where it never does.
    """
    before: tuple[int, float] | None = None
    for step, value in curve:
        if value >= score:
            if before is None or value == before[1]:
                return float(step)
            share = (score - before[1]) / (value - before[1])
            return before[0] + share * (step - before[0])
        before = (step, value)
    return None
