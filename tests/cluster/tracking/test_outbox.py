"""The outbox beside a server that comes and goes: order, nothing twice, and losses that are said."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.tracking import outbox as tracking_outbox
from cluster.tracking.losses import take_losses
from cluster.tracking.outbox import Outbox

NOWHERE = "http://127.0.0.1:1"


class Server:
    """Takes what it is given while it is up."""

    def __init__(self) -> None:
        self.up, self.got = True, list[object]()

    def write(self, item: object) -> Callable[[], object]:
        def act() -> object:
            if not self.up:
                raise ConnectionError("refused")
            if item == "bad":
                raise ValueError("not taken")
            self.got.append(item)
            return item

        return act


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    monkeypatch.setattr(tracking_outbox, "RETRY_SECONDS", 0.01)
    take_losses()
    box = Outbox(NOWHERE)
    yield box
    box.flush(0)
    take_losses()


def test_while_the_server_answers_writes_are_done_at_once(outbox: Outbox, server: Server) -> None:
    for item in range(3):
        outbox.send(server.write(item))
        assert server.got[-1] == item
    with pytest.raises(ValueError, match="not taken"):
        outbox.send(server.write("bad"))
    outbox.flush()
    assert take_losses() == []


def test_what_was_kept_arrives_once_and_in_order(outbox: Outbox, server: Server) -> None:
    outbox.send(server.write(0))
    server.up = False
    for item in range(1, 50):
        outbox.send(server.write(item))
    assert server.got == [0]
    server.up = True
    outbox.flush(10)
    outbox.send(server.write(50))
    assert server.got == list(range(51))
    assert take_losses() == []


def test_many_threads_and_many_outages_lose_nothing(outbox: Outbox, server: Server) -> None:
    def work(thread: int) -> None:
        for item in range(60):
            outbox.send(server.write((thread, item)))
            time.sleep(0.001)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        server.up = not server.up
        time.sleep(0.007)
    server.up = True
    outbox.flush(10)
    assert len(server.got) == len(set(server.got)) == 240
    for number in range(4):
        mine = [item for item in server.got if isinstance(item, tuple) and item[0] == number]
        assert mine == sorted(mine)


def test_what_never_arrives_is_counted_and_said(
    outbox: Outbox, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.up = False
    outbox.send(server.write("metrics"), count=7)
    outbox.send(server.write("file"))
    outbox.flush(0.05)
    (loss,) = take_losses()
    assert "8 entries" in loss
    assert NOWHERE in loss
    assert "away since" in loss
    assert "the run goes on" in capsys.readouterr().err
    server.up = True
    time.sleep(0.05)
    assert server.got == []


def test_what_is_refused_later_is_said_and_holds_nothing_up(outbox: Outbox, server: Server) -> None:
    server.up = False
    for item in ("a", "bad", "b"):
        outbox.send(server.write(item))
    server.up = True
    outbox.flush(10)
    assert server.got == ["a", "b"]
    (loss,) = take_losses()
    assert "1 entries" in loss
    assert "not taken" in loss


def test_files_outlive_their_folder(outbox: Outbox, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(b"w")

    def read(path: Path) -> Callable[[], object]:
        def act() -> object:
            return server.write(path.read_bytes())()

        return act

    server.up = False
    outbox.send(read(file), keep=lambda: read(outbox.spooled(file)))
    file.unlink()
    server.up = True
    outbox.flush(10)
    assert server.got == [b"w"]


def test_what_needs_an_answer_waits_for_it(outbox: Outbox, server: Server) -> None:
    server.up = False
    threading.Timer(0.1, lambda: setattr(server, "up", True)).start()
    assert outbox.insist(server.write("run"), "start a run") == "run"
    with pytest.raises(ValueError, match="not taken"):
        outbox.insist(server.write("bad"), "start a run")
    server.up, outbox.patience_s = False, 0.05
    with pytest.raises(UserError, match=r"was away for 0 s, and the command must start a run"):
        outbox.insist(server.write("run"), "start a run")
    outbox.send(server.write("kept"))
    with pytest.raises(UserError, match="must register a model"):
        outbox.settle("register a model")


def test_kept_batches_grow_together(outbox: Outbox, server: Server) -> None:
    def write(batch: list[int]) -> object:
        return server.write(tuple(batch))()

    server.up = False
    outbox.send(server.write("first"))
    for item in range(25):
        outbox.send_batch(write, [item], "loss", 10)
    outbox.send_batch(write, [25], "other", 10)
    outbox.send(server.write("end"))
    outbox.send_batch(write, [26], "other", 10)
    server.up = True
    outbox.flush(10)
    assert server.got == [
        "first",
        tuple(range(10)),
        tuple(range(10, 20)),
        tuple(range(20, 25)),
        (25,),
        "end",
        (26,),
    ]
    outbox.send_batch(write, [27], "other", 10)
    assert server.got[-1] == (27,)
    assert take_losses() == []
