"""A front behind its real server, and how it ends."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import pytest
import requests

from cluster.errors import UserError
from tests.training.serving.registered_detectors import NAME, REFERENCE
from training.serving.access import Access
from training.serving.front import Front
from training.serving.messages import Answer, Asked, Fault, Standing
from training.serving.running import answer, listening
from training.serving.section import ServeSection

SECTION = ServeSection(port=0)


class Slow:
    """Replicas that take their time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.taken = seconds, threading.Event()

    async def answer(self, asked: Asked, lost: Callable[[], None]) -> Answer | Fault:
        self.taken.set()
        await asyncio.sleep(self.seconds)
        return Answer(NAME, 1, 8, 8, [])

    async def standings(self) -> list[Standing]:
        return [Standing("one", 1, NAME, (1, ""))]


def run_while(backend: Slow, client: Callable[[str], None]) -> bool:
    """Serve in this thread, the one of signals, while a client asks in another; whether all was answered."""
    clients: list[threading.Thread] = []

    def announce(url: str) -> None:
        clients.append(threading.Thread(target=client, args=(url,)))
        clients[0].start()

    with listening(SECTION) as listener:
        ended = asyncio.run(answer(Front(backend, SECTION, Access(None), REFERENCE), listener, announce))
    clients[0].join()
    return ended


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_taken_in_is_answered_and_nothing_more_is_taken(number: signal.Signals) -> None:
    backend, statuses = Slow(1.5), dict[str, int]()

    def before(url: str) -> None:
        statuses["before"] = requests.post(f"{url}/detect", data=b"x", timeout=60).status_code

    def client(url: str) -> None:
        first = threading.Thread(target=before, args=(url,))
        first.start()
        backend.taken.wait(60)
        os.kill(os.getpid(), number)
        time.sleep(0.2)
        late = requests.post(f"{url}/detect", data=b"x", timeout=60)
        statuses["late"] = late.status_code
        assert "Retry-After" in late.headers
        first.join()

    assert run_while(backend, client)
    assert statuses == {"before": 200, "late": 503}


def test_a_second_signal_does_not_wait() -> None:
    backend = Slow(60)
    lost = threading.Event()

    def client(url: str) -> None:
        def ask() -> None:
            try:
                told = requests.post(f"{url}/detect", data=b"x", timeout=60).status_code
            except requests.exceptions.ConnectionError:
                told = 0
            if told != 200:
                lost.set()

        asking = threading.Thread(target=ask)
        asking.start()
        backend.taken.wait(60)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        asking.join()

    began = time.monotonic()
    assert not run_while(backend, client)
    assert lost.is_set()
    assert time.monotonic() - began < 40


def test_a_port_that_is_taken_is_said() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(UserError, match="in use"),
        listening(ServeSection(port=other.getsockname()[1])),
    ):
        raise AssertionError
