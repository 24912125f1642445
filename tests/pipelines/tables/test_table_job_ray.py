"""Table jobs under Ray Data: every row once, failures told, a killed driver's job goes on where it was."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.errors import UserError
from cluster.storage.faults import workspace_faults
from cluster.storage.storage import Storage
from pipelines.tables.steps import Step, write_listing
from pipelines.tables.table_job import data_context, run_table_job, unresumable_is_an_error
from tests.repository import ROOT
from tests.tiny_disk import tiny_disk

ROWS = 400


def listed(folder: Path) -> tuple[Storage, Storage]:
    listing, target = Storage.open(str(folder / "listing")), Storage.open(str(folder / "out"))
    ids = [f"{number:04d}" for number in range(ROWS)]
    write_listing(listing, pa.table({"image_id": ids, "value": list(range(ROWS))}))
    return listing, target


def double(rows: pa.Table, counter: Any, log: str | None = None, wait: float = 0.0) -> pa.Table:
    """Doubles `value`; writes down each id it computed, so that a test can count computations."""
    time.sleep(wait)
    if log is not None:
        with Path(log).open("a") as file:
            file.writelines(f"{image_id}\n" for image_id in rows.column("image_id").to_pylist())
    counter.add(rows.num_rows)
    doubled = pa.array([2 * value for value in rows.column("value").to_pylist()])
    return rows.set_column(1, "value", doubled)


class Adder:
    """An actor that adds a constant it was built with."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __call__(self, rows: pa.Table) -> pa.Table:
        return rows.set_column(
            1, "value", pa.array([v + self.amount for v in rows.column("value").to_pylist()])
        )


def job(listing: Storage, target: Storage, *steps: Step) -> None:
    source = listing.at("rows")
    run_table_job(
        "test", source=source, work=listing, target=target, steps=steps, id_column="image_id", total=ROWS
    )


def swell(rows: pa.Table) -> pa.Table:
    """A hundred KiB of noise a row."""
    noise = [os.urandom(100 << 10) for _ in range(rows.num_rows)]
    return rows.append_column("noise", pa.array(noise, pa.binary()))


@pytest.mark.ray
def test_a_disk_that_fills_up_under_the_workers_is_one_sentence(ray_cluster: None, tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 4) as place:
        workspace = Storage.open(str(place / "w"))
        workspace.create()
        listing, target = listed(Path(workspace.path))
        with pytest.raises(UserError) as caught, workspace_faults(workspace):
            job(listing, target, Step(swell))
    assert str(caught.value).startswith(
        f"No space is left on the disk of {workspace.path}; free some, then run"
    )


@pytest.mark.ray
def test_every_row_once_through_tasks_and_actors(ray_cluster: None, tmp_path: Path) -> None:
    listing, target = listed(tmp_path)
    log = str(tmp_path / "log")
    steps = (Step(double, {"log": log}, counted=True), Step(Adder, {"amount": 1}, actors=1))
    job(listing, target, *steps)
    rows = {row["image_id"]: row["value"] for row in target.read_table("").to_pylist()}
    assert rows == {f"{number:04d}": 2 * number + 1 for number in range(ROWS)}
    assert target.read_table("").num_rows == ROWS
    job(listing, target, *steps)  # a finished job run again computes nothing and writes nothing twice
    assert target.read_table("").num_rows == ROWS
    assert set(Counter(Path(log).read_text().split()).values()) == {1}


def broken(rows: pa.Table, counter: Any) -> pa.Table:
    """A step with a fault of its own."""
    raise ZeroDivisionError("a fault in the step")


@pytest.mark.ray
def test_a_fault_in_a_step_reaches_the_caller(ray_cluster: None, tmp_path: Path) -> None:
    listing, target = listed(tmp_path)
    with pytest.raises(Exception, match="a fault in the step"):
        job(listing, target, Step(broken, counted=True))


@pytest.mark.ray
def test_a_plan_without_checkpoints_is_an_error(ray_cluster: None, tmp_path: Path) -> None:
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    Storage.open(str(tmp_path)).write_table("rows/a.parquet", pa.table({"image_id": ["a"]}))
    with data_context() as context, unresumable_is_an_error():
        context.checkpoint_config = CheckpointConfig(
            id_column="image_id", checkpoint_path=str(tmp_path / "c")
        )
        data = ray.data.read_parquet(str(tmp_path / "rows"))
        with pytest.raises(UserWarning, match="enabled checkpointing"):
            data.materialize()  # only what ends in a write is resumable
    assert ray.data.DataContext.get_current().checkpoint_config is None


class Dying:
    """An actor whose process ends at its first batch, each time anew."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        os._exit(1)


def driver(folder: Path, step: str, section: str) -> list[str]:
    """Command of a process with a Ray of its own that runs the job of `folder`."""
    script = folder / "driver.py"
    root = str(ROOT)
    script.write_text(
        textwrap.dedent(
            f"""
            import signal, sys, threading
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
            sys.path.insert(0, {root!r})
            from pathlib import Path
            from cluster.on_ray import RaySection, ray_session, start_ray
            from pipelines.tables import Step
            from tests.pipelines.tables.test_table_job_ray import Dying, double, job, listed
            listing, target = listed(Path({str(folder)!r}))
            with ray_session(RaySection(cpus=2, object_store_gb=0.2, {section})):
                start_ray()
                try:
                    job(listing, target, {step})
                finally:
                    names = [thread.name for thread in threading.enumerate()]
                    print("left:", [n for n in names if n.startswith(("attempt", "StreamingExecutor"))])
            """
        )
    )
    return [sys.executable, str(script)]


def environment() -> dict[str, str]:
    """With the project importable in Ray's workers."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("Step(double, cpus=1000.0, counted=True)", "no row in 0.2 minutes"),
        ("Step(Dying, actors=1)", "(died|no row in 0.2 minutes)"),
    ],
    ids=["never gets its resources", "its actors keep dying"],
)
def test_a_job_that_cannot_go_on_ends_in_an_error(tmp_path: Path, step: str, told: str) -> None:
    command = driver(tmp_path, step, "stall_minutes=0.2")
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 1
    assert re.search(told, done.stderr)
    assert "left: []" in done.stdout  # a thread that uses Ray while Ray ends takes the process with it
    assert "open an issue" not in done.stderr


@pytest.mark.chaos
def test_an_interrupted_job_has_ended_before_ray_does(tmp_path: Path) -> None:
    done = tmp_path / "done"
    step = f'Step(double, {{"log": {str(done)!r}, "wait": 8.0}}, counted=True)'
    running = subprocess.Popen(
        driver(tmp_path, step, ""),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not done.exists():  # the first rows of many; files come when a process that writes them has started
        assert time.monotonic() < deadline, "nothing was computed"
        assert running.poll() is None, "the driver ended by itself"
        time.sleep(0.2)
    os.kill(running.pid, signal.SIGINT)
    said, faults = running.communicate(timeout=100)
    assert "left: []" in said
    assert faults.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.chaos
def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path) -> None:
    step = 'Step(double, {"log": sys.argv[1], "wait": float(sys.argv[2])}, counted=True)'
    command = driver(tmp_path, step, "")
    first, second = tmp_path / "first", tmp_path / "second"
    killed = subprocess.Popen([*command, str(first), "8"], env=environment())
    out, deadline = tmp_path / "out", time.monotonic() + 120
    while not (out.exists() and any(out.glob("*.parquet"))):
        assert time.monotonic() < deadline, "nothing was written"
        assert killed.poll() is None, "the driver ended by itself"
        time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    time.sleep(3)  # Ray's processes notice and end
    assert 0 < len(set(first.read_text().split())) < ROWS
    subprocess.run([*command, str(second), "0"], env=environment(), check=True, timeout=200)
    rows = Storage.open(str(out)).read_table("").to_pylist()
    assert sorted(row["image_id"] for row in rows) == [f"{number:04d}" for number in range(ROWS)]
    assert {row["image_id"]: row["value"] for row in rows} == {f"{n:04d}": 2 * n for n in range(ROWS)}
    assert set(second.read_text().split()) < {f"{number:04d}" for number in range(ROWS)}  # some were kept
