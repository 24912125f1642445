"""A step that waits for Ray says so, and what for; one that goes on, or only starts, says nothing."""

import subprocess
import sys

import pytest

from cluster.on_ray import waiting
from cluster.on_ray.waiting import Patience
from tests.repository import ROOT

BUSY = """
import time, ray
from cluster.on_ray.board import board
from cluster.on_ray.row_counter import RowCounter
from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session, start_ray

class Holder:
    def hold(self): return 1

with ray_session(RaySection(cpus=1, gpus=0, object_store_gb=0.1)):
    start_ray()
    one = ray.remote(num_cpus=1)(Holder)
    first = one.remote()
    ray.get(first.hold.remote())
    with RowCounter("free", 3):
        time.sleep(9)
    second = one.remote()
    with RowCounter("maps", 3), board("training", 3, lambda step, row: None):
        time.sleep(10)
"""


@pytest.mark.ray
def test_rows_and_trainings_that_wait_for_ray_say_so_within_ten_seconds() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    waits = (
        "waits until Ray has room (1 × 1 CPU asked for, 0 of 1 CPUs free); it begins by itself as others end"
    )
    assert sorted(line for line in done.stderr.splitlines() if "waits" in line) == [
        f"maps: {waits}",
        f"training: {waits}",
    ]


def test_it_is_said_once_and_only_of_a_step_that_has_not_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    said: list[str] = []
    monkeypatch.setattr("cluster.on_ray.waiting.time.monotonic", lambda: now)
    monkeypatch.setattr(waiting, "say", said.append)
    idle, begun, starting = (
        Patience("a", lambda: "1 CPU"),
        Patience("b", lambda: "1 CPU"),
        Patience("c", lambda: ""),
    )
    for now in (0.5, 6.5, 7.5, 8.0, 60.0):
        idle.look(begun=False)
        begun.look(begun=now == 6.5)
        starting.look(begun=False)
    assert [line.split(":")[0] for line in said] == ["a"]
