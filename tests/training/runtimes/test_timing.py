"""Sides are timed in turn, on the same inputs."""

import numpy as np
import numpy.typing as npt

from training.runtimes.timing import in_turn


def test_each_round_shows_one_input_to_every_side_and_the_first_only_warms_up() -> None:
    seen: list[tuple[str, float]] = []
    inputs = [np.full(1, number, np.float32) for number in range(2)]

    def side(name: str, values: npt.NDArray[np.float32]) -> None:
        seen.append((name, float(values[0])))

    sides = {"a": lambda values: side("a", values), "b": lambda values: side("b", values)}
    times = in_turn(sides, inputs, rounds=3)
    assert seen == [(name, number) for number in (1, 0, 1, 0) for name in ("a", "b")]
    assert times.keys() == sides.keys()
    assert all(len(one) == 3 and min(one) >= 0 for one in times.values())
