"""A full disk and a lost workspace are one sentence, by whatever error they show themselves."""

import errno
import pickle
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from cluster.errors import UserError
from cluster.storage.faults import RemovedError, no_space, workspace_faults
from cluster.storage.storage import Storage
from tests.tiny_disk import tiny_disk

RESUME = "run the same command again: it goes on where it stopped"


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Storage]:
    """A workspace on a file system of one MiB."""
    with tiny_disk(tmp_path / "disk", 1) as place:
        storage = Storage.open(str(place / "w"))
        storage.create()
        yield storage


def sentence(workspace: Storage, body: Callable[[], object]) -> str:
    """What the block's error becomes; its file with the errors in full holds the block's own error."""
    with pytest.raises(UserError) as caught, workspace_faults(workspace):
        body()
    text, _, log = str(caught.value).partition(" The errors in full: ")
    assert "Traceback" in Path(log).read_text()
    assert type(caught.value.__cause__).__name__ in Path(log).read_text()
    Path(log).unlink()
    return text


def write(storage: Storage) -> None:
    storage.write("weights.bin", bytes(2 << 20))


def write_by_arrow(storage: Storage) -> None:
    table = pa.table({"x": pa.array(range(1 << 20))})
    pq.write_table(table, f"{storage.path}/x.parquet", filesystem=storage.filesystem, compression="none")


def write_to_sqlite(storage: Storage) -> None:
    with sqlite3.connect(f"{storage.path}/mlflow.db") as connection:
        connection.execute("create table runs (x)")
        connection.execute("insert into runs values (?)", (bytes(2 << 20),))


def write_and_be_masked(storage: Storage) -> None:
    try:
        write(storage)
    finally:
        raise RuntimeError("the second error")


@pytest.mark.parametrize("act", [write, write_by_arrow, write_to_sqlite, write_and_be_masked])
def test_a_full_disk(tiny: Storage, act: Callable[[Storage], None]) -> None:
    text = sentence(tiny, lambda: act(tiny))
    assert text == f"No space is left on the disk of {tiny.path}; free some, then {RESUME}."


def test_a_file_that_did_not_fit_leaves_nothing(tiny: Storage) -> None:
    tiny.write("weights.bin", b"old")
    with pytest.raises(OSError, match=r"No space left.*weights\.bin") as caught:
        write(tiny)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == f"{tiny.path}/weights.bin"
    assert tiny.children() == ["weights.bin"]
    assert tiny.read("weights.bin") == b"old"


def test_another_full_disk_is_named(workspace: Storage, tiny: Storage) -> None:
    text = sentence(workspace, lambda: write(tiny))
    assert text.startswith(f"No space is left on the disk of {tiny.path}/weights.bin; ")


class RayTaskError(Exception):
    """As Ray's: the worker's error in `cause`, its own text a traceback."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__("ray::job() pid=1\nTraceback …")
        self.cause = cause


class TrainingFailedError(Exception):
    """As Ray Train's."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__("training failed")
        self.worker_failures = {1: failure}


FULL = OSError(errno.ENOSPC, "No space left on device", "/data/x.parquet")


@pytest.mark.parametrize(
    "error",
    [
        FULL,
        RayTaskError(pickle.loads(pickle.dumps(FULL))),
        TrainingFailedError(OSError(errno.EDQUOT, "Disk quota exceeded")),
        RuntimeError("train: worker 0 failed: OSError: [Errno 28] No space left on device"),
    ],
)
def test_a_full_disk_is_seen_through_wrappers(error: Exception) -> None:
    assert no_space(error)
    outer = RuntimeError("outer")
    outer.__cause__ = error
    assert no_space(outer)
    outer.__cause__ = outer
    assert not no_space(outer)


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ValueError("space"), OSError()]
)
def test_other_errors_pass(workspace: Storage, error: Exception) -> None:
    assert not no_space(error)
    with pytest.raises(type(error)) as caught, workspace_faults(workspace):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes(workspace: Storage, end: type[BaseException]) -> None:
    def body() -> None:
        with workspace_faults(workspace):
            shutil.rmtree(workspace.path)
            raise end

    with pytest.raises(end):
        body()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("error", [KeyError("x"), UserError("The image w/x.png can't be read any more.")])
def test_a_removed_workspace_is_said_whatever_the_error(
    workspace: Storage, error: Exception, again: bool
) -> None:
    def body() -> None:
        Path(workspace.path).rename(f"{workspace.path}-away")
        if again:
            workspace.create()
        raise error

    assert sentence(workspace, body) == (
        f"{workspace.path} was removed, moved away or unmounted while the command ran; bring it back, then "
        f"{RESUME}; without it the command begins anew."
    )


def test_a_removed_file_of_the_workspace_is_named(workspace: Storage) -> None:
    gone = f"{workspace.path}/maps/part-0.parquet"
    assert sentence(workspace, lambda: Path(gone).read_bytes()) == (
        f"{gone} was removed while the command ran; {RESUME} and makes anew what is missing."
    )
    by_arrow = sentence(workspace, lambda: workspace.read("maps/part-0.parquet"))
    assert by_arrow.startswith(f"A file of {workspace.path} was removed while the command ran; ")
    wrapped = sentence(workspace, lambda: raised(RayTaskError(FileNotFoundError(2, "No", gone))))
    assert wrapped.startswith(f"{gone} was removed")
    stage = f"{workspace.path}/maps/0123"
    removed = sentence(workspace, lambda: raised(RemovedError(f"{stage} was removed")))
    assert removed == f"{stage} was removed; {RESUME} and makes anew what is missing."


def test_files_elsewhere_and_handled_errors_are_not_the_workspaces(
    workspace: Storage, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError), workspace_faults(workspace):
        (tmp_path / "w2" / "x").read_bytes()

    def handled() -> None:
        try:
            workspace.read("x")
        except FileNotFoundError:
            raise KeyError("a fault of ours") from None

    with pytest.raises(KeyError), workspace_faults(workspace):
        handled()


def test_a_database_that_went_away_is_said(workspace: Storage) -> None:
    def body() -> None:
        with sqlite3.connect(f"{workspace.path}/none/mlflow.db"):
            pass

    text = sentence(workspace, body)
    assert text.startswith(
        "MLflow's database can't be used any more (unable to open database file); see that"
    )
    assert text.endswith(f"then {RESUME}.")


def test_in_an_object_store_only_what_is_full_is_told(tmp_path: Path) -> None:
    store = Storage(pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem()), "w")
    store.create()
    with pytest.raises(FileNotFoundError), workspace_faults(store):
        store.read("x")
    assert re.match("No space is left", sentence(store, lambda: raised(FULL)))


def raised(error: Any) -> None:
    raise error


def test_without_a_place_for_the_log_the_sentence_stands_alone(
    tiny: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", tiny.path)
    with pytest.raises(UserError, match=rf"{RESUME}\.$"), workspace_faults(tiny):
        (Path(tiny.path) / "rest").write_bytes(bytes(2 << 20))
    assert tiny.children() == ["rest"]
