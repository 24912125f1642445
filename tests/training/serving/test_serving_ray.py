"""The whole server on Ray Serve while things happen to it: promotions, a killed replica, its end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.training.serving.registered_detectors import NAME, REFERENCE, png, registered, tracker_in
from training.serving.access import TOKEN

SECRET = "a-token-of-enough-letters"
PATIENCE_S = 240.0  # of a machine that does other things


class Load:
    """Clients that ask again and again, each over connections of its own.

    Attributes:
        answers: number of answers by status, 0 for a connection that could not be made.
        lost: what went wrong with requests that were taken in.
        versions: of the answers.
    """

    def __init__(self, url: str, clients: int) -> None:
        self._url, self._stop = url, threading.Event()
        self.answers: Counter[int] = Counter()
        self.versions: Counter[int] = Counter()
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        body, headers = png(seed=number), {"Connection": "close"}
        while not self._stop.is_set():
            try:
                answer = requests.post(f"{self._url}/detect", data=body, headers=headers, timeout=PATIENCE_S)
            except requests.exceptions.ConnectionError as error:
                if "refused" not in str(error):
                    self.lost.append(str(error))
                self.answers[0] += 1
                time.sleep(0.2)
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code == 200:
                (image,) = answer.json()["images"]
                self.versions[image["model"]["version"]] += 1
            elif "Retry-After" not in answer.headers:
                self.lost.append(answer.text)
            elif "ending" in answer.text:
                return


def until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, what
        time.sleep(0.2)


@contextmanager
def serving(workspace: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """`agssp serve` as a process: itself, its URL, and the file of its stderr."""
    command = [sys.executable, "-m", "agssp", "serve", REFERENCE, f"workspace={workspace}", "serve.port=0"]
    more = ["ray.cpus=4", "ray.object_store_gb=0.2", *words, "--json"]
    log = workspace / "serve.log"
    with (
        log.open("w") as stderr,
        subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, log.read_text()
            yield process, json.loads(line)["url"], log
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE_S)


@pytest.mark.ray
@pytest.mark.chaos
def test_nothing_taken_in_is_lost_whatever_happens(tracked: Callable[[Path], Path], tmp_path: Path) -> None:
    workspace = tracked(tmp_path / "work")
    tracker = tracker_in(workspace)
    registered(tracker, tmp_path / "1", 1, map50=0.5)
    words = ["serve.replicas=2", "serve.cpus_per_replica=0.5", "serve.poll_s=0.5", "serve.batch_size=4"]
    with serving(workspace, *words) as (process, url, log):

        def replicas() -> list[dict[str, Any]]:
            told: list[dict[str, Any]] = requests.get(f"{url}/healthz", timeout=60).json()["replicas"]
            return told

        def all_serve(version: int) -> bool:
            return [one["version"] for one in replicas()] == [version] * 2

        def all_refuse(version: int) -> bool:
            return [one["refused"] for one in replicas()] == [version] * 2

        until(lambda: all_serve(1), "both replicas are there")
        with Load(url, 3) as load:
            registered(tracker, tmp_path / "2", 2, map50=0.6)
            until(lambda: all_serve(2), "the better version is served")
            registered(tracker, tmp_path / "3", 3, map50=0.55)
            until(lambda: all_refuse(3), "the worse version is refused")
            registered(tracker, tmp_path / "4", 4, map50=0.9, broken=True)
            until(lambda: all_refuse(4), "the broken version is refused")
            victim = replicas()[0]["pid"]
            os.kill(victim, signal.SIGKILL)
            before = load.answers[200]
            until(lambda: load.answers[200] > before + 20, "answers go on")
            figures = requests.get(f"{url}/metrics", timeout=60).text
            assert f'agssp_serve_refused_version{{model="{NAME}"' in figures
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        assert load.lost == []
        assert set(load.answers) <= {0, 200, 429, 503}
        assert load.answers[200] > 30
        assert set(load.versions) <= {1, 2}
        assert load.versions[2] > 20
    told = log.read_text()
    assert f"{NAME}@2 answers: map50 0.6000 on line after 0.5000" in told
    assert f"{NAME}@3 is refused: it is worse" in told
    assert f"{NAME}@4 is refused: it can't be served" in told
    assert "everything taken in was answered" in told


@pytest.mark.ray
def test_the_application_of_a_cluster_asks_for_its_token(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import serve

    from training.served import application

    workspace = tracked(tmp_path / "work")
    registered(tracker_in(workspace), tmp_path / "1", 1)
    monkeypatch.setenv(TOKEN, SECRET)
    words = [f"workspace={workspace}", "serve.cpus_per_replica=0.5"]
    serve.start(http_options={"host": "127.0.0.1", "port": 8765, "request_timeout_s": PATIENCE_S})
    try:
        serve.run(application({"model": REFERENCE, "words": words}), name="detector", route_prefix="/")
        url = "http://127.0.0.1:8765"
        assert requests.post(f"{url}/detect", data=png(), timeout=PATIENCE_S).status_code == 401
        right = {"Authorization": f"Bearer {SECRET}"}
        answer = requests.post(f"{url}/detect", data=png(90, 70), headers=right, timeout=PATIENCE_S)
        assert answer.json()["images"][0]["width"] == 90
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
