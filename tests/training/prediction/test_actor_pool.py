"""Actors and GPUs of maps and predictions, for the cluster at hand."""

import pytest

from cluster.errors import UserError
from pipelines.maps.section import MapsSection
from pipelines.tables.pools import PoolSection, actor_pool
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
        ("maps", MapsSection(actors=2), 2, True),
        ("maps", MapsSection(actors=3), 2, False),
        ("maps", MapsSection(actors=(2, 9)), 2, True),
        ("maps", MapsSection(actors=9), 0, True),
        ("predict", PredictSection(actors=2), 2, True),
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
        with pytest.raises(UserError, match=rf"{stage}\.actors=3 need 2\.5 CPUs .* lower {stage}\.actors"):
            actor_pool(stage, section, available)
