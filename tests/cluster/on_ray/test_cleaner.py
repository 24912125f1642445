"""What a stopped Ray Train controller made is freed, at whatever moment it was stopped."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray._private import state
from ray.util.placement_group import placement_group, remove_placement_group

from cluster.on_ray.trainer import CleanerCallback


class Controller:
    """Begins as Ray's controller does: a cleaner, then a group; its workers never come to start."""

    def hold(self) -> str:
        context: Any = SimpleNamespace(run_id="stopped-early")
        CleanerCallback().after_controller_start(context)
        return str(placement_group([{"CPU": 1}]).id.hex())


def states() -> dict[str, str]:
    table: dict[str, dict[str, str]] = ray.util.placement_group_table()
    return {key: group["state"] for key, group in table.items()}


def cleaners() -> set[str]:
    actors: dict[str, dict[str, str]] = state.actors()
    return {k for k, v in actors.items() if v["ActorClassName"] == "Cleaner" and v["State"] != "DEAD"}


@pytest.mark.ray
def test_a_group_of_a_controller_stopped_before_its_workers_began_is_freed(ray_cluster: None) -> None:
    """As ASHA stops a trial: the cleaner's process has not come up, and no one has named the group to it."""
    before = cleaners()
    others = placement_group([{"CPU": 0.5}])
    remote: Any = ray.remote(num_cpus=0)(Controller)
    controller = remote.remote()
    group = ray.get(controller.hold.remote())
    assert states()[group] != "REMOVED"
    ray.kill(controller)
    deadline = time.monotonic() + 60
    while states()[group] != "REMOVED" or not cleaners() <= before:  # those of earlier tests end meanwhile
        assert time.monotonic() < deadline, (states(), cleaners())
        time.sleep(0.2)
    assert states()[others.id.hex()] != "REMOVED"
    remove_placement_group(others)
