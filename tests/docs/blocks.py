"""What the guide shows: fenced blocks and commands of its pages, by a Markdown parser."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.repository import ROOT

BUILT = ROOT / "docs/_build"  # of `make docs`
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if BUILT not in page.parents),
]
MARKER = re.compile(r"<!-- (not run|fails): (\S.*\S) -->")
LANGUAGES = {"sh", "python", "yaml", "text"}


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        where: page and line.
        language: what the fence says.
        text: inside.
        marker: `not run` or `fails`; empty without a marker before it.
        reason: of the marker.
    """

    where: str
    language: str
    text: str
    marker: str
    reason: str


def blocks(page: Path) -> list[Block]:
    """The fenced and indented blocks of a page, in order."""
    found, before = [], ""
    for token in MarkdownIt("commonmark").parse(page.read_text("utf-8")):
        if token.type in {"fence", "code_block"}:
            match = MARKER.fullmatch(before.strip())
            where = f"{page.relative_to(ROOT)}:{(token.map or [0])[0] + 1}"
            marker, reason = (match[1], match[2]) if match else ("", "")
            found.append(Block(where, token.info.strip(), token.content, marker, reason))
        before = token.content if token.type == "html_block" else ""
    return found


def markers(page: Path) -> int:
    """How many markers a page has, wherever they stand."""
    return len(re.findall(r"<!-- *(?:not run|fails)\b", page.read_text("utf-8")))


def commands(text: str) -> Iterator[list[str]]:
    """The lines of a shell block as words, comments left out."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def inline_commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Commands of agssp within the text, with where they are; those with an ellipsis name several at once."""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8")):
        for child in token.children or ():
            if (
                child.type == "code_inline"
                and child.content.startswith("agssp ")
                and "…" not in child.content
            ):
                line = (token.map or [0])[0] + 1
                yield f"{page.relative_to(ROOT)}:{line}", shlex.split(child.content)
