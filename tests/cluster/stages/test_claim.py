"""Claims: never two at once, the dead passed over, the silent told."""

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from cluster.stages import claim as module
from cluster.stages.claim import FOLDER, Claim, ClaimLostError, claimed, this_process
from cluster.storage.faults import RemovedError
from cluster.storage.storage import Storage


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


@pytest.fixture(params=["local", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A local directory, and one on a filesystem that isn't opened by path."""
    (tmp_path / "w").mkdir()
    if request.param == "local":
        return Storage.open(str(tmp_path / "w"))
    return Storage(pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem()), "w")


def test_never_two_at_once(place: Storage) -> None:
    inside, most, turns = 0, 0, 0
    gate = threading.Barrier(8)

    def work() -> None:
        nonlocal inside, most, turns
        gate.wait()
        for _ in range(3):
            with claimed("maps", place, lambda: False) as claim:
                assert claim is not None
                claim.check()
                inside += 1
                most = max(most, inside)
                time.sleep(0.005)
                inside -= 1
                turns += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, turns) == (1, 24)
    assert place.at(FOLDER).children() == []


def test_those_who_waited_use_what_the_first_made(place: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes: list[bool] = []
    gate = threading.Barrier(4)

    def work() -> None:
        gate.wait()
        with claimed("maps", place, lambda: place.exists("stage.json")) as claim:
            outcomes.append(claim is not None)
            if claim is not None:
                time.sleep(0.1)
                place.write("stage.json", b"{}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]
    assert "another run makes it (process" in capsys.readouterr().err


def _hold(path: str, began: str) -> None:
    with claimed("maps", Storage.open(path), lambda: False):
        Path(began).touch()
        time.sleep(60)


def test_a_killed_process_of_this_machine_is_passed_over_at_once(tmp_path: Path) -> None:
    place, began = tmp_path / "w", tmp_path / "began"
    place.mkdir()
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(str(place), str(began)))
    holder.start()
    while not began.exists():
        time.sleep(0.01)
    waiting = Claim(Storage.open(str(place)))
    waiting.draw()
    ahead = waiting.ahead()
    assert ahead is not None
    assert ahead["pid"] == holder.pid
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert waiting.ahead() is None
    waiting.check()
    waiting.release()


def elsewhere(place: Storage, beat: int) -> None:
    """A claim of another machine, ahead of all others."""
    content = {**this_process(), "host": "node-7", "boot": "other", "number": 0, "beat": beat}
    place.at(FOLDER).write("0" * 16, json.dumps(content).encode())


def test_another_machine_is_waited_for_while_it_gives_signs_of_life(
    place: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("cluster.stages.claim.time.monotonic", lambda: now[0])
    elsewhere(place, 1)
    waiting = Claim(place)
    waiting.draw()
    for beat in range(2, 12):
        assert waiting.ahead() is not None
        now[0] += module.LEASE_SECONDS * 0.9
        elsewhere(place, beat)
    assert waiting.ahead() is not None
    now[0] += module.LEASE_SECONDS
    assert waiting.ahead() is None
    waiting.release()
    assert place.at(FOLDER).children() == ["0" * 16 + module.LOST]


def test_one_that_was_passed_over_must_not_publish(place: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    claim = Claim(place)
    claim.draw()
    claim.check()
    place.at(FOLDER).write(claim.id + module.LOST, b"")
    place.at(FOLDER).delete(claim.id)
    time.sleep(0.2)
    assert not place.at(FOLDER).exists(claim.id)  # the heartbeat doesn't bring it back
    with pytest.raises(ClaimLostError, match="another has taken its stage over"):
        claim.check()
    claim.release()


def test_a_directory_removed_meanwhile_is_not_published_nor_claimed_anew(
    place: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.02)
    with claimed("maps", place, lambda: False) as claim:
        assert claim is not None
        claim.check()
        place.filesystem.delete_dir(place.path)
        time.sleep(0.2)
        place.write("part-1.parquet", b"the second half")  # makes the directory anew
        assert place.children() == ["part-1.parquet"]
        with pytest.raises(RemovedError, match=r"w was removed while the command ran$"):
            claim.check()

    def fails() -> None:
        with claimed("maps", place, lambda: False):
            place.filesystem.delete_dir(place.path)
            raise KeyError("part-0.parquet")

    with pytest.raises(RemovedError) as caught:
        fails()
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_fault_in_the_block_leaves_the_queue(place: Storage) -> None:
    with pytest.raises(ZeroDivisionError), claimed("maps", place, lambda: False):
        raise ZeroDivisionError
    assert place.at(FOLDER).children() == []
