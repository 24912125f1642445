"""Progress on stderr: a rich bar on a terminal, plain lines at intervals in a log, read back by `parse`."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

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


LINE = re.compile(
    r"  (?P<title>\S.*?): (?P<done>\d+)(?:/(?P<total>\d+))?"
    r"(?: \((?P<rate>[\d.]+)/s(?:, (?:(?P<days>\d+) days?, )?(?P<left>\d+:\d\d:\d\d) left)?\))?"
    r"(?: (?P<note>.*))?"
)


@dataclass(frozen=True)
class Standing:
    """How far a step is.

    Attributes:
        title: the name of the step.
        done, total: units; total is None when unknown.
        rate: units a second since the first one; None before the second.
        left: seconds to go at that rate; None when unknown.
        note: text shown beside, e.g. the loss.
    """

    title: str
    done: int
    total: int | None = None
    rate: float | None = None
    left: int | None = None
    note: str = ""

    def line(self) -> str:
        """As a log shows it: `  maps: 100/1000 (10.0/s, 0:01:30 left) note`."""
        of = f"/{self.total}" if self.total is not None else ""
        left = f", {timedelta(seconds=self.left)} left" if self.left is not None else ""
        speed = f" ({self.rate:.3f}/s{left})" if self.rate is not None else ""
        return f"  {self.title}: {self.done}{of}{speed} {self.note}".rstrip()

    @classmethod
    def parse(cls, line: str) -> "Standing | None":
        """What `line` wrote; None for other lines."""
        match = LINE.fullmatch(line)
        if match is None:
            return None
        left = None
        if match["left"]:
            hours, minutes, seconds = map(int, match["left"].split(":"))
            left = ((int(match["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
        return cls(
            match["title"],
            int(match["done"]),
            int(match["total"]) if match["total"] else None,
            float(match["rate"]) if match["rate"] else None,
            left,
            match["note"] or "",
        )


class Bar:
    """One long step's progress; `advance` and `note` are cheap and may be called often.

    Args:
        title: the name of the step.
        total: the number of units; None when unknown.
    """

    def __init__(self, title: str, total: int | None, bar: Progress | None) -> None:
        self.title, self.total, self.done, self.text = title, total, 0, ""
        self._bar, self._shown = bar, time.monotonic()
        self._told: int | None = None  # units done in the last line of a log
        self._first: tuple[int, float] | None = None  # units and time when the first were done
        self._task = bar.add_task(title, total=total, note="") if bar else None

    def advance(self, amount: int = 1, note: str = "") -> None:
        """`amount` more units are done; `note` (e.g. the loss) is shown beside."""
        self.to(self.done + amount, note)

    def to(self, done: int, note: str = "") -> None:
        """`done` units are done in all."""
        now = time.monotonic()
        self.done = done
        self.text = note or self.text
        if self._first is None and done:
            self._first = (done, now)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, note=self.text)
        elif now - self._shown >= LINE_SECONDS:
            self._shown, self._told = now, done
            say(self.standing().line())

    def end(self) -> None:
        """The last line of a log that was shown lines: how far the step came."""
        if self._told is not None and self._told != self.done:
            say(self.standing().line())

    def standing(self) -> Standing:
        """How far it is, and how fast it goes since its first units (a start-up is no throughput)."""
        rate = left = None
        if self._first is not None and self.done > self._first[0]:
            rate = (self.done - self._first[0]) / max(time.monotonic() - self._first[1], 1e-9)
            left = round(max(0, self.total - self.done) / rate) if self.total is not None else None
        return Standing(self.title, self.done, self.total, rate, left, self.text)


@contextmanager
def progress(title: str, total: int | None) -> Iterator[Bar]:
    """Show progress while the block runs."""
    if not sys.stderr.isatty():
        plain = Bar(title, total, None)
        yield plain
        plain.end()
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
