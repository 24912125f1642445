"""A board that a far-away worker writes rows on and the command's own terminal reads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray

from cluster.on_ray.attempt import on_this_node
from cluster.on_ray.metrics import record, record_standing
from cluster.on_ray.waiting import Patience, unmet_demand
from cluster.progress import progress

POLL_SECONDS = 0.5

BoardRow = dict[str, float]


class Board:
    """The actor: rows by step in the order they came, and the one failure that ends all."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, BoardRow, str]] = []
        self._note = ""
        self._failure: bytes | None = None

    def post(self, step: int, row: BoardRow, note: str) -> None:
        """A worker finished `step`; `note` is shown beside the bar."""
        self._rows.append((step, row, note))
        self._note = ""

    def tell(self, note: str) -> None:
        """The running step's progress as text; shown until the step is posted."""
        self._note = note

    def read(self, start: int) -> tuple[list[tuple[int, BoardRow, str]], str]:
        """The rows from the `start`-th on, and the note told since."""
        return self._rows[start:], self._note

    def fail(self, error: bytes) -> None:
        """Record a pickled exception that no retry can mend; the first one stays."""
        self._failure = self._failure or error

    def failure(self) -> bytes | None:
        """The recorded exception."""
        return self._failure

    def unmet(self) -> str:
        """See `unmet_demand`."""
        return unmet_demand()


@contextmanager
def board(title: str, total: int, on_row: Callable[[int, BoardRow], None]) -> Iterator[Any]:
    """A board for the block's workers, shown as a progress bar.

    Args:
        title: the name of the step.
        total: the last step.
        on_row: called in order, once a step (a worker that was restarted posts some again), in a thread of
            this process; what it raises is raised at the block's end.

    Returns:
        The actor's handle; workers call `post`, `tell` and `fail` on it.
    """
    actor_class: Any = ray.remote(num_cpus=0)(Board)  # Any: ray's types don't know its methods
    actor = actor_class.options(scheduling_strategy=on_this_node()).remote()
    done = threading.Event()
    faults: list[Exception] = []

    def watch() -> None:
        read, seen = 0, set[int]()
        patience = Patience(title, lambda: str(ray.get(actor.unmet.remote())))
        with progress(title, total) as bar:
            while True:
                ending = done.wait(POLL_SECONDS)
                try:
                    rows, note_now = ray.get(actor.read.remote(read))
                    patience.look(begun=bool(read or rows or note_now) or ending)
                    for step, row, note in rows:
                        bar.to(step, note)
                        record_standing(bar.standing())
                        for figure, value in row.items():
                            record("agssp_training", value, step=title, figure=figure)
                        if step not in seen:
                            on_row(step, row)
                            seen.add(step)
                    if note_now:
                        bar.to(bar.done, note_now)
                except Exception as error:  # noqa: BLE001 (told to the block, in its own thread)
                    faults.append(error)
                    return
                read += len(rows)
                if ending:
                    return

    watcher = threading.Thread(target=watch, name="board", daemon=True)
    watcher.start()
    try:
        yield actor
    finally:
        done.set()
        watcher.join()
        ray.kill(actor)
    if faults:
        raise faults[0]
