"""What a training held is free again when the process that began it is killed, controller and all."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from ray._private import state

from tests.chaos.line import epochs_begun, fit_line


def wait_for(happened: Callable[[], bool], seconds: float = 90) -> None:
    """Until it has happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def held() -> set[str]:
    """Placement groups that hold something."""
    table = ray.util.placement_group_table()
    return {key for key, group in table.items() if group["state"] != "REMOVED"}


def living(name: str) -> set[str]:
    """Actors of a class that live."""
    return {
        key
        for key, actor in state.actors().items()
        if name in actor["ActorClassName"] and actor["State"] != "DEAD"
    }


def lives() -> set[str]:
    """All that a training makes of Ray's, as far as it is not gone."""
    return held() | living("TrainController") | living("Cleaner")


@pytest.mark.chaos
def test_a_killed_beginner_of_a_training_leaves_nothing_held(ray_cluster: None, tmp_path: Path) -> None:
    before = lives()  # of a test before, which may still be ending
    bystander = subprocess.Popen(["sleep", "600"])  # that the training kills, to wait for ever afterwards
    pid = bystander.pid

    @ray.remote(num_cpus=0)
    class Beginner:
        def fit(self) -> None:
            fit_line(tmp_path, pid)

    beginner = Beginner.remote()  # type: ignore[attr-defined]
    running = beginner.fit.remote()
    assert bystander.wait(400) == -signal.SIGKILL
    assert held() - before
    assert epochs_begun(tmp_path)[-1] == 4
    ray.kill(beginner)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(running)
    wait_for(lambda: lives() <= before, 30)
