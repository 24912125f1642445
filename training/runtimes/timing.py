"""Runtimes timed beside one another on a machine that others use too."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def in_turn(
    sides: Mapping[str, Callable[[Array], object]], inputs: Sequence[Array], *, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each side in each round, neighbours in time; a round before them warms up.

    Args:
        sides: what is timed, by name.
        inputs: what the sides are given, one a round, from the first again after the last.
        rounds: rounds whose times are kept.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):
        values = inputs[number % len(inputs)]
        for name, side in sides.items():
            began = time.perf_counter()
            side(values)
            if number >= 0:
                times[name].append(time.perf_counter() - began)
    return times
