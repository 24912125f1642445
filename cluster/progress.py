"""Progress on stderr: a rich bar on a terminal, plain lines at intervals in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_SECONDS = 10.0  # a log gets at most one line a step in this time

console = Console(stderr=True, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line to the user, on stderr."""
    console.print(message, markup=False)


class Bar:
    """One long step's progress; `advance` and `note` are cheap and may be called often.

    Args:
        title: what is being done.
        total: how many units there are; None when unknown.
    """

    def __init__(self, title: str, total: int | None, bar: Progress | None) -> None:
        self.title, self.total, self.done, self.text = title, total, 0, ""
        self._bar, self._shown = bar, time.monotonic()
        self._task = bar.add_task(title, total=total, note="") if bar else None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """`amount` more units are done; `note` (e.g. the loss) is shown beside."""
        self.to(self.done + amount, note)

    def to(self, done: int, note: str = "") -> None:
        """`done` units are done in all."""
        self.done = done
        self.text = note or self.text
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, note=self.text)
        elif time.monotonic() - self._shown >= LINE_SECONDS:
            self._shown = time.monotonic()
            of = f"/{self.total}" if self.total is not None else ""
            say(f"  {self.title}: {done}{of} {self.text}".rstrip())


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Bar]:
    """Show progress while the block runs."""
    if not sys.stderr.isatty():
        yield Bar(title, total, None)
        return
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield Bar(title, total, bar)
