"""What every command shares: `--json`, one sentence for the user's mistakes, exit codes."""

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from cluster import json_text
from cluster.errors import UserError
from cluster.progress import say
from cluster.tracking import take_losses

USER_AT_FAULT, INTERRUPTED = 2, 130


class _Output(Console):
    """Rich ends the program with code 1 when the reader leaves; that is decided here instead."""

    def on_broken_pipe(self) -> None:
        raise  # called while the BrokenPipeError is handled


out = _Output(highlight=False)  # stdout: results for people; progress goes to stderr

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG] [SECTION.KEY=VALUE]...",
        help="YAML files or recipe:NAME, a later one over an earlier, then overrides.",
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Progress to stderr, one JSON object as the last line of stdout.")
]


def run_command(
    body: Callable[[], Mapping[str, Any]],
    *,
    json_mode: bool,
    render: Callable[[Mapping[str, Any]], None] | None = None,
    exit_code: Callable[[Mapping[str, Any]], int] = lambda result: 0,
) -> None:
    """Run a command's body and report its result on stdout, as one JSON line or as a table.

    Args:
        body: does the work; what it prints goes to stderr when `json_mode`.
        json_mode: whether `--json` was given.
        render: writes the result for a person, with `out`; a plain table of all figures without it.
        exit_code: gives the exit code for a finished body's result.

    Raises:
        typer.Exit: 2 for a UserError, 130 when interrupted, `exit_code` otherwise; other errors pass
            unchanged, for Python to show their traceback and exit with 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that isn't UTF-8 must not end the command
            stream.reconfigure(errors="backslashreplace")
    with guard(json_mode), _losses_said():
        if json_mode:
            with redirect_stdout(sys.stderr):  # libraries that print
                result = body()
            lost = take_losses()
            for loss in lost:
                say(loss)
            _print_line(json_text.dumps({**result, "tracking_lost": lost} if lost else result))
        else:
            result = body()
            with _quiet_broken_pipe():
                (render or render_table)(result)
        code = exit_code(result)
        if code:
            raise typer.Exit(code)


@contextmanager
def _losses_said() -> Iterator[None]:
    """Whatever a tracking server never got is said in the command's last lines."""
    try:
        yield
    finally:
        for loss in take_losses():
            say(loss)


@contextmanager
def guard(json_mode: bool) -> Iterator[None]:
    """Turn the user's mistakes and interrupts into one sentence on stderr and an exit code.

    Raises:
        typer.Exit: 2 for a UserError, 130 for an interrupt.
    """
    try:
        yield
    except UserError as error:
        # Ray wraps what a worker raised; its own text is a traceback.
        cause = getattr(error, "cause", None)
        sentence = " ".join(str(cause if isinstance(cause, UserError) else error).split())
        _fail(sentence, USER_AT_FAULT, json_mode)
    except KeyboardInterrupt:
        _fail("Interrupted; the same command resumes where it stopped.", INTERRUPTED, json_mode)


def _fail(sentence: str, code: int, json_mode: bool) -> None:
    say(sentence)
    if json_mode:
        _print_line(json_text.dumps({"error": sentence}))
    raise typer.Exit(code)


def _print_line(line: str) -> None:
    with _quiet_broken_pipe():
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@contextmanager
def _quiet_broken_pipe() -> Iterator[None]:
    """The reader (`| head`) has gone: the work is done all the same."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


LEAST_COLUMN = 8  # characters, with its border


class _Listing(Table):
    """Keeps a column in one line where the others have room beside it."""

    whole: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.whole is not None:
            column = self.columns[self.whole]
            cells = (Text.from_markup(cell) for cell in column.cells if isinstance(cell, str))
            widest = max((cell.cell_len for cell in cells), default=0)
            column.no_wrap = widest + LEAST_COLUMN * (len(self.columns) - 1) <= options.max_width
        yield from super().__rich_console__(console, options)


def listing_table(*headers: str, whole: int | None = None, title: str | None = None) -> Table:
    """A table that cuts nothing: what is too long goes on in the next line.

    Args:
        headers: the columns' heads.
        whole: the column of ids or names for other commands; it stays in one line where that can be.
        title: the line above.
    """
    table = _Listing(title=title)
    table.whole = whole
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def render_table(result: Mapping[str, Any]) -> None:
    """A result as a table of dotted names and values."""
    table = Table(show_header=False)
    for _ in range(2):
        table.add_column(overflow="fold")  # a path that is cut is of no use
    for name, value in _flat(result, ""):
        table.add_row(Text(name), Text(value))
    out.print(table)


def _flat(result: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in result.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield f"{prefix}{name}", f"{value:.4g}"
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json_text.dumps(value)
