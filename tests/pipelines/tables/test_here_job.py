"""Table jobs in the command's own process: every row once, resumable, where they are taken and where not."""

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

from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session, small_here
from cluster.storage.storage import Storage
from pipelines.tables.place import job_place
from pipelines.tables.steps import Step, write_listing
from pipelines.tables.table_job import run_table_job
from tests.repository import ROOT

ROWS = 150


def double(rows: pa.Table, counter: Any, log: str, wait: float = 0.0) -> pa.Table:
    """Doubles `value`; writes down each id it computed."""
    time.sleep(wait)
    with Path(log).open("a") as file:
        file.writelines(f"{image_id}\n" for image_id in rows.column("image_id").to_pylist())
    counter.add(rows.num_rows)
    return rows.set_column(1, "value", pa.array([2 * value for value in rows.column("value").to_pylist()]))


class Adder:
    """Adds a constant, and refuses batches above the size that was asked for."""

    built = 0

    def __init__(self, amount: int) -> None:
        Adder.built += 1
        self.amount = amount

    def __call__(self, rows: pa.Table) -> pa.Table:
        assert 0 < rows.num_rows <= 7
        values = [value + self.amount for value in rows.column("value").to_pylist()]
        return rows.set_column(1, "value", pa.array(values))


def quotient(whole: int, part: int) -> tuple[int, int]:
    """Quotient and rest, as `divmod`."""
    return divmod(whole, part)


class Dropper:
    """Leaves out rows as an unreadable image is left out, while `flag` exists."""

    def __init__(self, flag: str) -> None:
        self.flag = flag

    def __call__(self, rows: pa.Table) -> pa.Table:
        if not Path(self.flag).exists():
            return rows
        return rows.take([n for n, value in enumerate(rows.column("value").to_pylist()) if value % 10])


def listed(folder: Path) -> tuple[Storage, Storage, Storage]:
    work, target = Storage.open(str(folder / "work")), Storage.open(str(folder / "out"))
    rows = pa.table({"image_id": [f"{n:04d}" for n in range(ROWS)], "value": list(range(ROWS))})
    return write_listing(work, rows), work, target


def run(folder: Path, *steps: Step) -> Storage:
    """The job's target."""
    source, work, target = listed(folder)
    run_table_job(
        "test",
        source=source,
        work=work,
        target=target,
        steps=steps,
        id_column="image_id",
        total=ROWS,
        here=True,
    )
    return target


def job(folder: Path, *steps: Step) -> dict[str, int]:
    """Values by id, each once."""
    table = run(folder, *steps).read_table("")
    assert len(set(table.column("image_id").to_pylist())) == table.num_rows
    return {row["image_id"]: row["value"] for row in table.to_pylist()}


def test_every_row_goes_once_through_functions_and_built_classes(tmp_path: Path) -> None:
    log, built = str(tmp_path / "log"), Adder.built
    steps = (
        Step(double, {"log": log}, batch_size=20, counted=True),
        Step(Adder, {"amount": 1}, actors=1, batch_size=7),
    )
    assert job(tmp_path, *steps) == {f"{n:04d}": 2 * n + 1 for n in range(ROWS)}
    assert Adder.built == built + 1
    assert job(tmp_path, *steps) == {f"{n:04d}": 2 * n + 1 for n in range(ROWS)}
    assert Counter(Path(log).read_text().split()) == Counter(f"{n:04d}" for n in range(ROWS))


def test_rows_that_a_step_left_out_are_tried_again(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    step = Step(Dropper, {"flag": str(flag)}, actors=1)
    assert len(job(tmp_path, step)) == ROWS - ROWS // 10
    flag.unlink()
    assert job(tmp_path, step) == {f"{n:04d}": n for n in range(ROWS)}


def test_a_job_all_of_whose_rows_are_left_out_writes_nothing(tmp_path: Path) -> None:
    def nothing(rows: pa.Table) -> pa.Table:
        return rows.slice(0, 0)

    assert run(tmp_path, Step(nothing)).children() == []


def test_a_killed_job_goes_on_where_it_was(tmp_path: Path) -> None:
    script = tmp_path / "command.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(ROOT)!r})
            from pathlib import Path
            from pipelines.tables.steps import Step
            from tests.pipelines.tables.test_here_job import double, job
            arguments = {{"log": sys.argv[1], "wait": float(sys.argv[2])}}
            job(Path({str(tmp_path)!r}), Step(double, arguments, counted=True))
            """
        )
    )
    first, second = tmp_path / "first", tmp_path / "second"
    killed = subprocess.Popen([sys.executable, str(script), str(first), "1"])
    out, deadline = tmp_path / "out", time.monotonic() + 100
    while not (out.exists() and any(out.glob("*.parquet"))):
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    subprocess.run([sys.executable, str(script), str(second), "0"], check=True, timeout=100)
    rows = Storage.open(str(out)).read_table("").to_pylist()
    assert sorted(row["image_id"] for row in rows) == [f"{n:04d}" for n in range(ROWS)]
    assert {row["image_id"]: row["value"] for row in rows} == {f"{n:04d}": 2 * n for n in range(ROWS)}
    assert len(second.read_text().split()) < ROWS  # some were kept


def test_a_fault_in_a_step_reaches_the_caller_and_leaves_whole_files(tmp_path: Path) -> None:
    def broken(rows: pa.Table) -> pa.Table:
        if "0100" in rows.column("image_id").to_pylist():
            raise ZeroDivisionError("a fault in the step")
        return rows

    with pytest.raises(ZeroDivisionError, match="a fault in the step"):
        run(tmp_path, Step(broken))
    target = Storage.open(str(tmp_path / "out"))
    assert 0 < target.read_table("").num_rows < 100


def test_only_small_jobs_without_a_named_cluster_are_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with ray_session(RaySection(small_job=10)):
        assert small_here(10)
        assert not small_here(11)
        monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
        assert not small_here(1)
        monkeypatch.delenv("RAY_ADDRESS")
        monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
        assert not small_here(1)
        monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR")
    with ray_session(RaySection(address="10.0.0.1:6379")):
        assert not small_here(1)
    with ray_session(RaySection(small_job=0)):
        assert not small_here(1)


@pytest.mark.ray
def test_a_job_goes_on_where_it_began(ray_cluster: None, tmp_path: Path) -> None:
    """Here although Ray runs now, as rows without a checkpoint of Ray's would be done twice."""
    _, work, target = listed(tmp_path)
    assert not job_place(work, target, ROWS).here  # Ray runs in this process
    work.write("here", b"")
    assert job_place(work, target, ROWS).here


@pytest.mark.ray
def test_both_places_give_the_same(ray_cluster: None, tmp_path: Path) -> None:
    here, work = Storage.open(str(tmp_path / "table")), Storage.open(str(tmp_path / "work"))
    here.write_table("a.parquet", pa.table({"a": [1, 2], "b": ["x", "y"]}))
    work.write("here", b"")
    places = [job_place(work, here, 1), job_place(Storage.open(str(tmp_path / "other")), here, 1)]
    assert [place.here for place in places] == [True, False]
    for place in places:
        assert place.read_columns(here, ["b"]).to_pydict() == {"b": ["x", "y"]}
        assert place.share([1, 2]).get() == [1, 2]
        results = place.run(quotient, 7, 2, results=2, cpus=0.1, gpus=0)
        assert [result.get() for result in results] == [3, 1]
        assert place.nodes == 1
        assert place.resources()["CPU"] >= 1


def spread(threads: int) -> tuple[int]:
    """What suits a worker; tells the threads that it then has."""
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    return (torch.get_num_threads(),)


def test_work_done_here_leaves_this_process_its_own_threads(tmp_path: Path) -> None:
    """Else a training in the same command would add in another order than after maps that were found made."""
    import cv2  # here, as the processes above import this file and need neither
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    _, work, target = listed(tmp_path)
    with ray_session(RaySection()):
        place = job_place(work, target, ROWS)
    assert place.here
    (told,) = place.run(spread, before[0] + 1, results=1, cpus=1, gpus=0)
    assert told.get() == before[0] + 1
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before
