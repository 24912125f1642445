"""Writes that a server could not take while it was away: kept in order, sent later, or reported lost."""

import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import masked
from cluster.tracking.http import ask
from cluster.tracking.losses import note_loss
from cluster.tracking.places import PROBE

RETRY_SECONDS = 2.0
MOST_REFUSALS = 5  # of one write while the server takes others: the write is at fault
DEFAULT_PATIENCE_S = 600.0
# How MLflow tells that a server, or the database behind it, was not there.
AWAY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED")

Result = TypeVar("Result")
Write = Callable[[], object]


@lru_cache(maxsize=8)
def outbox_of(uri: str) -> "Outbox":
    """The one outbox of a server in this process."""
    return Outbox(uri)


def is_outage(error: Exception) -> bool:
    """Whether an error means that the server was away, not that it refused."""
    import requests
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.error_code in AWAY
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, requests.RequestException | ConnectionError)


@dataclass
class _Kept:
    write: Write
    count: int
    refusals: int = 0
    batch: list[Any] | None = None  # what `write` writes, while more may be put into it
    key: str = ""


class Outbox:
    """Writes to one server: done at once while it answers; kept from the first failed one on.

    Args:
        uri: the server's URI.

    Attributes:
        patience_s: the time that `insist` and `flush` wait for a server that is away.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.patience_s = uri, DEFAULT_PATIENCE_S
        self._kept: deque[_Kept] = deque()
        self._changed = threading.Condition()
        self._away_since: datetime | None = None
        self._lost, self._reason = 0, ""
        self._spool: Path | None = None
        self._generation = 0

    def send(self, write: Write, count: int = 1, keep: Callable[[], Write] | None = None) -> None:
        """Do a write, or keep it until the server is back.

        Args:
            write: the write to do; raises what MLflow raises.
            count: the number of metrics, tags or files in it, for the sentence about a loss.
            keep: makes a write that can be done later, when files have gone.

        Raises:
            Exception: what the server refuses.
        """
        with self._changed:
            if not self._kept:
                try:
                    write()
                    return
                except Exception as error:
                    if not is_outage(error):
                        raise
                    self._begin(error)
            self._kept.append(_Kept(keep() if keep else write, count))
            self._changed.notify_all()

    def send_batch(self, write: Callable[[list[Any]], object], batch: list[Any], key: str, most: int) -> None:
        """Do a write of a batch, or keep it; kept batches grow together, to be sent in few requests.

        Args:
            write: writes a batch.
            batch: the entries to write.
            key: the batch's key; batches of the same key may become one.
            most: the most entries in one batch.

        Raises:
            Exception: what the server refuses.
        """
        with self._changed:
            last = self._kept[-1] if len(self._kept) > 1 else None  # the first may be on its way
            if last and last.batch is not None and last.key == key and len(last.batch) + len(batch) <= most:
                last.batch += batch
                last.count += len(batch)
                return
            entries = list(batch)
            self.send(partial(write, entries), len(entries))
            if self._kept:
                self._kept[-1].batch, self._kept[-1].key = entries, key

    def insist(self, act: Callable[[], Result], what: str) -> Result:
        """Do what needs its answer now, waiting for a server that is away.

        Args:
            act: the action; safe to do twice.
            what: the action in words, e.g. `start a run`.

        Raises:
            UserError: the server stayed away for `patience_s`.
            Exception: what the server refuses.
        """
        began, announced = time.monotonic(), False
        while True:
            try:
                return act()
            except Exception as error:
                if not is_outage(error):
                    raise
                if time.monotonic() - began > self.patience_s:
                    raise self._stayed_away(what) from None
            if not announced:
                say(f"Tracking: {masked(self.uri)} does not answer; waiting for it to {what}")
                announced = True
            time.sleep(RETRY_SECONDS)

    def settle(self, what: str) -> None:
        """Wait until every kept write is sent, because the next action builds on it.

        Args:
            what: the next action in words, e.g. `register a model`.

        Raises:
            UserError: the server stayed away for `patience_s`.
        """
        deadline = time.monotonic() + self.patience_s
        with self._changed:
            while self._kept:
                if (left := deadline - time.monotonic()) <= 0:
                    raise self._stayed_away(what)
                self._changed.wait(left)

    def _stayed_away(self, what: str) -> UserError:
        return UserError(
            f"The tracking server {masked(self.uri)} was away for {self.patience_s:.0f} s, and the command "
            f"must {what}; start the server and run the same command again: finished stages are kept."
        )

    def spooled(self, path: Path) -> Path:
        """A copy of a file that lasts until it is sent."""
        if self._spool is None:
            self._spool = Path(tempfile.mkdtemp(prefix="agssp-outbox-"))
        folder = Path(tempfile.mkdtemp(dir=self._spool))
        return Path(shutil.copy(path, folder / path.name))

    def flush(self, patience_s: float | None = None) -> None:
        """Wait until all is sent; after the patience the rest is given up, counted and told at the end.

        Args:
            patience_s: the patience to use instead of the outbox's own.
        """
        patience = self.patience_s if patience_s is None else patience_s
        deadline = time.monotonic() + patience
        with self._changed:
            if self._kept:
                entries = f"{sum(entry.count for entry in self._kept)} entries"
                say(f"Tracking: waiting for {masked(self.uri)} to take {entries} (Ctrl-C gives them up)")
            try:
                while self._kept and (left := deadline - time.monotonic()) > 0:
                    self._changed.wait(left)
            finally:
                self._give_up()

    def _give_up(self) -> None:
        self._lost += sum(entry.count for entry in self._kept)
        since = f", away since {self._away_since:%H:%M:%S}" if self._away_since and self._kept else ""
        self._kept.clear()
        self._generation += 1
        if self._lost:
            note_loss(
                f"Tracking: {self._lost} entries (metrics, tags, files) of this run never reached "
                f"{masked(self.uri)}{since} ({self._reason}); the artifacts themselves are complete."
            )
        self._lost, self._away_since = 0, None
        if self._spool is not None:
            shutil.rmtree(self._spool, ignore_errors=True)
            self._spool = None

    def _begin(self, error: Exception) -> None:
        self._away_since, self._reason = datetime.now(), _first_line(error)
        self._generation += 1  # a thread that is about to end must not go on beside the new one
        say(f"Tracking: {masked(self.uri)} does not answer; the run goes on, what it logs is kept for later")
        threading.Thread(target=self._deliver, args=(self._generation,), name="outbox", daemon=True).start()

    def _deliver(self, generation: int) -> None:
        sent = 0
        while True:
            with self._changed:
                if generation != self._generation:
                    return
                if not self._kept:  # nothing left: writes go straight again
                    say(f"Tracking: {masked(self.uri)} is back; {sent} entries kept meanwhile were sent")
                    self._away_since = None
                    return
                first = self._kept[0]
            done = self._try(first)
            with self._changed:
                if generation != self._generation:
                    return
                if done:
                    self._kept.popleft()
                    sent += first.count
                    self._changed.notify_all()
            if not done:
                time.sleep(RETRY_SECONDS)

    def _try(self, entry: _Kept) -> bool:
        """Whether a write is off the list: done, or refused for good."""
        try:
            entry.write()
            return True
        except Exception as error:  # noqa: BLE001 (counted and told in the end; this thread must live)
            self._reason = _first_line(error)
            if is_outage(error) and not self._is_up():
                return False
            entry.refusals += 1
            if is_outage(error) and entry.refusals < MOST_REFUSALS:
                return False
            self._lost += entry.count
            entry.count = 0
            return True

    def _is_up(self) -> bool:
        try:
            ask(self.uri, PROBE)  # needs the database behind the server, too
        except UserError:
            return False
        return True


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) <= 200 else f"{text[:199]}…"
