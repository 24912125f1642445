"""Table jobs under Ray Data: every row once, failures told, a killed driver's job goes on where it was."""

import os
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

from cluster.storage import Storage
from pipelines.table_job import Step, run_table_job, write_listing

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
    run_table_job("test", listing=listing, target=target, steps=steps, id_column="image_id", total=ROWS)


@pytest.mark.ray
def test_every_row_once_through_tasks_and_actors(ray_cluster: None, tmp_path: Path) -> None:
    listing, target = listed(tmp_path)
    log = str(tmp_path / "log")
    steps = (Step(double, {"counter": None, "log": log}), Step(Adder, {"amount": 1}, actors=1))
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
        job(listing, target, Step(broken, {"counter": None}))


@pytest.mark.chaos
def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path) -> None:
    script = tmp_path / "driver.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(Path(__file__).parents[2])!r})
            from pathlib import Path
            from cluster.session import RaySection, ray_session, start_ray
            from pipelines.table_job import Step
            from tests.pipelines.test_table_job_ray import double, job, listed
            listing, target = listed(Path({str(tmp_path)!r}))
            with ray_session(RaySection(cpus=2, object_store_gb=0.2)):
                start_ray()
                arguments = {{"counter": None, "log": sys.argv[1], "wait": float(sys.argv[2])}}
                job(listing, target, Step(double, arguments))
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    first, second = tmp_path / "first", tmp_path / "second"
    driver = subprocess.Popen([sys.executable, str(script), str(first), "8"], env=environment)
    out, deadline = tmp_path / "out", time.monotonic() + 120
    while not (out.exists() and any(out.glob("*.parquet"))):
        assert time.monotonic() < deadline, "nothing was written"
        assert driver.poll() is None, "the driver ended by itself"
        time.sleep(0.2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(3)  # Ray's processes notice and end
    assert 0 < len(set(first.read_text().split())) < ROWS
    subprocess.run([sys.executable, str(script), str(second), "0"], env=environment, check=True, timeout=200)
    rows = Storage.open(str(out)).read_table("").to_pylist()
    assert sorted(row["image_id"] for row in rows) == [f"{number:04d}" for number in range(ROWS)]
    assert {row["image_id"]: row["value"] for row in rows} == {f"{n:04d}": 2 * n for n in range(ROWS)}
    assert len(second.read_text().split()) < ROWS  # what was checkpointed was not computed again
