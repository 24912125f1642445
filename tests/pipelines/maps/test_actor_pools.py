"""Pools of actors on the nodes that are left."""

import pytest
from hypothesis import given, strategies as st

from pipelines.tables.steps import Step
from pipelines.tables.table_job import fitting


class Actor:
    """Stands for any."""


NODES = st.lists(
    st.fixed_dictionaries(
        {"CPU": st.integers(0, 16).map(float)}, optional={"GPU": st.integers(0, 8).map(float)}
    ),
    min_size=1,
    max_size=5,
)


@given(
    NODES,
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0, 0.5, 1]),
)
def test_what_fits_leaves_room_for_all_else(
    nodes: list[dict[str, float]], least: int, more: int, cpus: float, gpus: float
) -> None:
    step = fitting(Step(Actor, actors=(least, least + more), cpus=cpus, gpus=gpus), nodes)
    low, high = step.actors if isinstance(step.actors, tuple) else (step.actors, step.actors)
    assert low is not None
    assert high is not None
    assert 1 <= low <= least
    assert low <= high <= least + more
    if high > 1:
        total = sum(node["CPU"] for node in nodes)
        assert high * cpus + 1.5 <= total + 1e-9
        if gpus:
            assert high * gpus <= sum(node.get("GPU", 0.0) for node in nodes)


@pytest.mark.parametrize(
    ("actors", "nodes", "left"),
    [
        (4, [1, 1], 1),  # the survivors of test_table_job_chaos
        (4, [1, 1, 1], 3),
        (2, [8], 2),
        ((1, 6), [4], (1, 5)),
        ((3, 6), [2], 1),
        (3, [0], 1),
    ],
)
def test_pools_of_half_a_cpu(
    actors: int | tuple[int, int], nodes: list[int], left: int | tuple[int, int]
) -> None:
    step = fitting(Step(Actor, actors=actors), [{"CPU": float(cpus)} for cpus in nodes])
    assert step.actors == left


def test_tasks_are_left_alone() -> None:
    step = Step(len)
    assert fitting(step, [{"CPU": 1.0}]) is step
