"""A study's table in a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cluster.cli.command import out


def print_table(title: str, part: Mapping[str, Any]) -> None:
    """The `header` and `lines` of a part of a study's table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, box=None, pad_edge=False, collapse_padding=True)
    for column in part["header"]:
        table.add_column(column, overflow="fold")
    for line in part["lines"]:
        table.add_row(*(Text(text) for text in line))
    out.print(table)


def print_lines(lines: Iterable[str]) -> None:
    """Sentences as they are, without markup."""
    from rich.text import Text

    for line in lines:
        out.print(Text(line), soft_wrap=True)


def print_verdicts(result: Mapping[str, Any], files: Sequence[str]) -> None:
    """The table, the verdicts and its notes, and where all of it lies.

    Args:
        result: the table with its `directory`.
        files: names of the files there.
    """
    print_table(result["title"], result)
    print_lines([*(verdict["sentence"] for verdict in result["verdicts"]), *result["notes"]])
    print_lines([f"Saved: {result['directory']}/{', '.join(files)}"])
