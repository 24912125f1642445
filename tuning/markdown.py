"""Tables and lists of the studies' documents, as markdown."""

from collections.abc import Sequence


def grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table; a cell's own bars are escaped.

    Args:
        header: heads of the columns.
        lines: rows of as many cells.
    """
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in rows)


def bullets(texts: Sequence[str]) -> str:
    """A list, one text a line."""
    return "\n".join(f"- {text}" for text in texts)
