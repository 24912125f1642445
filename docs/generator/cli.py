"""The reference of the command line, from the real parser."""

from collections.abc import Iterator
from typing import Any

import typer

from agssp import app

INTRO = """# Commands

Made from the program by `python -m docs.generator`; `agssp COMMAND --help` says the same.

CONFIG is a YAML file or `recipe:NAME`, `SECTION.KEY=VALUE` any key of the [configuration](config.md);
several configs merge, a later one over an earlier, overrides over all. Exit codes: 0 done; 2 your input is at
fault, one sentence on stderr says what and how to mend it; 130 interrupted; 1 anything else. With `--json`
progress goes to stderr and the last line of stdout is one JSON object.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, as it is typed (`agssp models list`), in the parser's order."""
    root = typer.main.get_command(app)
    yield from _below("agssp", root, typer.Context(root, info_name="agssp"))


def _below(words: str, command: Any, context: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield words, command
        return
    for name in command.list_commands(context):
        part = command.get_command(context, name)
        yield from _below(f"{words} {name}", part, typer.Context(part, info_name=name, parent=context))


def cli_page() -> str:
    """The page, Markdown."""
    return "\n".join([INTRO, *(_section(words, command) for words, command in commands())])


def _section(words: str, command: Any) -> str:
    context = typer.Context(command, info_name=words)
    usage = " ".join([words, *command.collect_usage_pieces(context)])
    lines = [f"## `{words}`", "", _text(command.help or ""), "", "```text", usage, "```", ""]
    records = (param.get_help_record(context) for param in command.params)
    rows = [
        f"| `{cell(_text(name)).removesuffix(' <list[str]>')}` | {cell(_text(text))} |"
        for name, text in filter(None, records)
    ]
    if rows:
        lines += ["| argument or option | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _text(text: str) -> str:
    return " ".join(text.split()) if "\n\n" not in text else "\n\n".join(map(_text, text.split("\n\n")))


def cell(text: str) -> str:
    """Text that may stand in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
