"""One run at a time makes a stage: claims beside the artifact, on any disk or object store.

Lamport's bakery ("A new solution of Dijkstra's concurrent programming problem", 1974) over small files: it
needs neither locks nor conditional writes, only that a file written is in the next listing, as it is on disks
and on S3.
"""

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cluster.progress import say
from cluster.stages.sentences import waiting
from cluster.storage import RemovedError, Storage

FOLDER = ".claims"
BEAT_SECONDS, LEASE_SECONDS, POLL_SECONDS = 10.0, 60.0, 1.0
NAME = re.compile(r"[0-9a-f]{16}")
LOST = ".lost"
READS, CLAIM_BYTES = 50, 1024


class ClaimLostError(RuntimeError):
    """This run was silent for so long that another took its stage over."""


def this_process() -> dict[str, Any]:
    """What tells this process from any other, on this machine and elsewhere."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot, space = "", ""
    pid = os.getpid()
    return {"host": socket.gethostname(), "boot": boot, "space": space, "pid": pid, "began": _began(pid)}


def _began(pid: int) -> str | None:
    """When a process began, in clock ticks since boot; None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


class Claim:
    """This run's place in the queue for a stage's directory.

    Args:
        directory: the stage's directory.
    """

    def __init__(self, directory: Storage) -> None:
        self.folder, self.id = directory.at(FOLDER), secrets.token_hex(8)
        self._self = this_process()
        self._number: int | None = None
        self._beat = 0
        self._seen: dict[str, tuple[Any, float]] = {}
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._lost = False

    def draw(self) -> None:
        """Take a number above all others'."""
        self._write()  # with no number yet: others wait until there is one
        self._number = 1 + max((other["number"] or 0 for other in self._others().values()), default=0)
        self._write()
        threading.Thread(target=self._keep, name="claim", daemon=True).start()

    def ahead(self) -> Mapping[str, Any] | None:
        """A run that must be waited for; None when it is this one's turn."""
        for other, content in sorted(self._others().items()):
            number = content["number"]
            first = number is None or (number, other) < (self._number, self.id)
            if first and not self._gone(other, content):
                return content
        return None

    def check(self) -> None:
        """Whether the stage is still this run's, and its directory the one that it wrote into.

        Raises:
            ClaimLostError: another run has taken it over.
            RemovedError: someone removed the directory, and with it files that this run has written.
        """
        if self._lost or self.folder.exists(self.id + LOST):
            raise ClaimLostError(
                "This run was silent for a minute or more (stopped, or cut off from the workspace) and "
                "another has taken its stage over; run the command again to use what that one made."
            )
        if self.removed():
            raise self.removal()

    def removal(self) -> RemovedError:
        """The error of a directory that was removed."""
        return RemovedError(f"{self.folder.uri.removesuffix(f'/{FOLDER}')} was removed while the command ran")

    def removed(self) -> bool:
        """Whether this run's claim has gone, though no other run says to have taken it."""
        if self._number is None:
            return False
        return not self.folder.exists(self.id)

    def release(self) -> None:
        """Leave the queue."""
        self._stop.set()
        with self._writing:
            self.folder.delete(self.id)

    def _keep(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            with self._writing:
                if self._stop.is_set():
                    return
                try:
                    if self.folder.exists(self.id + LOST):
                        self._lost = True
                        return
                    if self.folder.exists(self.id):  # written anew it would hide that files are lost
                        self._write()
                except OSError:  # the workspace may come back; if it doesn't, others decide
                    continue

    def _write(self) -> None:
        self._beat += 1
        content = json.dumps({**self._self, "number": self._number, "beat": self._beat})
        # Always the same size: an object store's readers ask for the size first and fail when it changes.
        self.folder.write(self.id, content.ljust(CLAIM_BYTES).encode())

    def _others(self) -> dict[str, Mapping[str, Any]]:
        claims = {}
        for name in self.folder.children():
            if NAME.fullmatch(name) and name != self.id:
                content = self._read(name)
                if content is not None:
                    claims[name] = content
        return claims

    def _read(self, name: str) -> Mapping[str, Any] | None:
        """Another's claim; None when it was released meanwhile."""
        for _ in range(READS):
            try:
                content: Mapping[str, Any] = self.folder.read_json(name)
                return content
            except FileNotFoundError:
                return None
            except (OSError, ValueError):  # replaced or removed while it was read
                time.sleep(0.02)
        return {"number": None, "boot": "", "host": "a machine unknown", "pid": "unknown"}

    def _gone(self, other: str, content: Mapping[str, Any]) -> bool:
        """Whether the other run has ended without leaving; if so its claim is removed."""
        mine = self._self
        if mine["boot"] and all(content[key] == mine[key] for key in ("boot", "space")):
            if _began(content["pid"]) == content["began"]:
                return False
        else:
            now = time.monotonic()
            before, since = self._seen.get(other, (None, now))
            if content != before:
                self._seen[other] = (content, now)
                return False
            if now - since < LEASE_SECONDS:
                return False
            self.folder.write(other + LOST, b"")  # it must know if it wakes up
        self.folder.delete(other)
        return True


@contextmanager
def claimed(stage: str, directory: Storage, complete: Callable[[], bool]) -> Iterator[Claim | None]:
    """Hold a stage's directory for the block; waits while another run has it.

    A run that died is passed over: at once when it ran on this machine, otherwise after `LEASE_SECONDS`
    without a sign of life.

    Args:
        stage: the stage's name, for the message.
        directory: the stage's directory; exists.
        complete: whether the artifact is there, made by the one that was waited for.

    Returns:
        The claim, or None when the artifact is complete.

    Raises:
        RemovedError: the block failed, and the directory is gone.
    """
    claim = Claim(directory)
    try:
        claim.draw()
        announced, pause = False, 0.02
        while not complete() and (other := claim.ahead()) is not None:
            if not announced and other["number"] is not None:
                who = f"process {other['pid']} on {other['host']}"
                say(waiting(stage, who))
                announced = True
            time.sleep(pause)
            pause = min(2 * pause, POLL_SECONDS)
        yield None if complete() else claim
    except Exception as error:
        with suppress(OSError):  # what can't be looked at is not known to be removed
            if claim.removed() and not isinstance(error, RemovedError):
                raise claim.removal() from error
        raise
    finally:
        claim.release()
