"""Table jobs under fire: actors, tasks and whole nodes killed; every row once all the same."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.storage.storage import Storage
from tests.pipelines.tables.chaos_job import ROWS
from tests.repository import ROOT

pytestmark = pytest.mark.chaos


def wait_for(what: Callable[[], bool], job: "subprocess.Popen[str]", folder: Path) -> None:
    deadline = time.monotonic() + 240
    while not what():
        assert job.poll() is None, told(folder)
        assert time.monotonic() < deadline, told(folder)
        time.sleep(0.1)


@pytest.fixture
def ray_folder() -> Iterator[str]:
    """For Ray's files, with a path short enough for sockets; a cluster in the usual one is found by all."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder


def start(folder: Path, ray_folder: str, *words: str) -> "subprocess.Popen[str]":
    folder.mkdir()
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.pipelines.tables.chaos_job", str(folder), *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": ray_folder},
            stdout=log,
            stderr=log,
            text=True,
        )


def told(folder: Path) -> str:
    return (folder / "log").read_text()


def succeed(job: "subprocess.Popen[str]", folder: Path) -> None:
    assert job.wait(300) == 0, told(folder)
    check_rows(folder)


def kill_one(folder: Path, spared: frozenset[str] = frozenset()) -> str:
    """SIGKILL the newest process of those that signed in `folder`."""
    names = [
        path for path in folder.iterdir() if path.name not in spared and Path(f"/proc/{path.name}").exists()
    ]
    victim = max(names, key=lambda path: path.stat().st_mtime_ns).name
    os.kill(int(victim), signal.SIGKILL)
    return victim


def check_rows(folder: Path) -> None:
    rows = Storage.open(str(folder / "out")).read_table("").to_pylist()
    assert sorted(row["image_id"] for row in rows) == [f"{number:04d}" for number in range(ROWS)]
    assert {row["image_id"]: row["value"] for row in rows} == {f"{n:04d}": 2 * n for n in range(ROWS)}


def test_a_killed_actor_and_a_killed_task_cost_nothing(tmp_path: Path, ray_folder: str) -> None:
    folder = tmp_path / "job"
    job = start(folder, ray_folder, "1", "2")
    out = folder / "out"
    wait_for(lambda: any((folder / "actors").glob("*")) and any(out.glob("*.parquet")), job, folder)
    kill_one(folder / "actors")
    kill_one(folder / "tasks")
    succeed(job, folder)
    assert len(list((folder / "actors").iterdir())) > 1


def test_a_job_that_a_lost_node_leaves_waiting_goes_on_with_the_others(
    tmp_path: Path, ray_folder: str
) -> None:
    """Whether Ray alone would wait for ever depends on what ran where, so tasks are held until it is told."""
    folder = tmp_path / "job"
    job = start(folder, ray_folder, "4", "1", "1", "1")
    (folder / "hold").touch()
    out = folder / "out"
    wait_for(
        lambda: len(list((folder / "actors").glob("*"))) == 4 and any(out.glob("*.parquet")), job, folder
    )
    kill_one(folder / "nodes")
    wait_for(lambda: "1 of the cluster's nodes lost; going on" in told(folder), job, folder)
    (folder / "hold").unlink()
    succeed(job, folder)
