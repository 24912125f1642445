"""Actors and GPUs of maps and predictions, for the cluster at hand."""

import pytest
from hypothesis import given, strategies as st

from cluster.errors import UserError
from pipelines.maps.section import MapsSection
from pipelines.tables.pools import ACTOR_CPUS, PoolSection, actor_pool
from pipelines.tables.steps import Step
from pipelines.tables.table_job import fitting
from training.prediction.section import PredictSection

CASES = [
    ({}, 0, (0.0, 1, 1), "1 actor on the CPU (no GPU in the cluster)"),
    ({"actors": 4}, 0, (0.0, 4, 2), "4 actors on the CPU (no GPU in the cluster)"),
    ({}, 8, (1.0, 8, 1), "8 actors with 1 GPU each"),
    ({"gpus_per_actor": 0.25}, 2, (0.25, 8, 4), "8 actors with 0.25 GPU each"),
    ({"gpus_per_actor": 2}, 3, (2.0, 1, 1), "1 actor with 2 GPU each"),
]


@pytest.mark.parametrize(
    ("stage", "section", "gpus", "expected", "note"),
    [
        *(("maps", MapsSection.model_validate(config), *case) for config, *case in CASES),
        *(("predict", PredictSection.model_validate(config), *case) for config, *case in CASES),
        (
            "maps",
            MapsSection.model_validate({"gpus_per_actor": 0, "actors": [1, 3]}),
            8,
            (0.0, (1, 3), 2),
            "1 to 3 actors on the CPU (maps.gpus_per_actor=0)",
        ),
        (
            "predict",
            PredictSection(gpus_per_actor=0, actors=3),
            8,
            (0.0, 3, 2),
            "3 actors on the CPU (predict.gpus_per_actor=0)",
        ),
    ],
)
def test_what_the_config_leaves_open_follows_the_cluster(
    stage: str, section: PoolSection, gpus: int, expected: tuple[object, ...], note: str
) -> None:
    pool = actor_pool(stage, section, {"GPU": gpus, "CPU": 8})
    assert (pool.gpus, pool.actors, pool.neighbours(nodes=2)) == expected
    assert pool.note == note


@pytest.mark.parametrize(
    ("stage", "section", "cpus", "fits"),
    [
        ("maps", MapsSection(actors=1), 2, True),
        ("maps", MapsSection(actors=3), 3, True),
        ("maps", MapsSection(actors=3), 2, False),
        ("maps", MapsSection(actors=(1, 9)), 2, True),
        ("maps", MapsSection(actors=(3, 9)), 2, False),
        ("maps", MapsSection(actors=9), 0, True),
        ("predict", PredictSection(actors=1), 2, True),
        ("predict", PredictSection(actors=3), 3, True),
        ("predict", PredictSection(actors=3), 2, False),
        ("predict", PredictSection(actors=9), 0, True),
    ],
)
def test_actors_that_leave_ray_no_cpu_are_refused(
    stage: str, section: PoolSection, cpus: int, fits: bool
) -> None:
    available = {"CPU": float(cpus)} if cpus else {}
    if fits:
        assert actor_pool(stage, section, available).actors == section.actors
    else:
        with pytest.raises(UserError, match=rf"{stage}\.actors=3 need 3 CPUs .* lower {stage}\.actors"):
            actor_pool(stage, section, available)


class Actor:
    """Stands for any."""


@given(st.integers(1, 40), st.integers(2, 24))
def test_what_is_let_in_is_what_a_job_that_goes_on_has_room_for(least: int, cpus: int) -> None:
    """Two actors on two CPUs begin; when some rows are finished, Ray's filter takes the CPU for reading."""
    section = PredictSection(actors=least)
    step = Step(Actor, actors=least, cpus=ACTOR_CPUS)
    unchanged = fitting(step, [{"CPU": float(cpus)}]).actors == least
    if unchanged:
        assert actor_pool("predict", section, {"CPU": float(cpus)}).actors == least
        assert least * 0.5 + 1.0 + 0.25 + 0.25 <= cpus
    else:
        with pytest.raises(UserError, match=r"lower predict\.actors"):
            actor_pool("predict", section, {"CPU": float(cpus)})
