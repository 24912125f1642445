"""Faults in labels, by file and line: as rows of a table, and as the sentence that stops a strict command."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipelines.annotations import LabelFault, decode_mask
from pipelines.layouts import LostLabel
from pipelines.tables import has_defect

SHOWN = 10
DOUBT = "image taken as unlabelled"


def lost_row(label: LostLabel, file: str) -> dict[str, Any]:
    """A row of the table `BAD_LABELS` for a label that can be given to no image; `file` is its file's URI."""
    return {"file": file, "line": label.line, "reason": label.reason, "action": "label left out"}


def doubt_row(reason: str, image: str) -> dict[str, Any]:
    """A row of the table `BAD_LABELS` for an image that can't be called normal."""
    return {"file": image, "line": None, "reason": reason, "action": DOUBT}


def fault_order(row: dict[str, Any]) -> tuple[bool, str, int]:
    """Order of the rows of `BAD_LABELS`: faults by file and line, then the images that they put in doubt."""
    return row["action"] == DOUBT, row["file"], row["line"] or 0


def fault_row(fault: LabelFault, image: str) -> dict[str, Any]:
    """A row of the table `BAD_LABELS`; it names the image where no file or object tells which."""
    action = "used" if fault.mended else "image left out"
    name = PurePosixPath(image)
    # A file of many images is not called as this one.
    own = re.match(rf"{re.escape(name.stem)}(\W|_)", PurePosixPath(fault.file).name)
    reason = f"{name.name}: {fault.reason}" if fault.whole and not own else fault.reason
    return {"file": fault.file or image, "line": fault.line, "reason": reason, "action": action}


def marks_nothing(row: Mapping[str, Any], width: int, height: int) -> bool:
    """Whether an inspected row has no box, no ignored region and no defective pixel."""
    return not has_defect(row) and (row["mask"] is None or not decode_mask(row["mask"], width, height).any())


def empty_rows(files: Sequence[str], image: str) -> list[dict[str, Any]]:
    """Rows of the table for a defect image whose annotation marks no object: one for each of its files."""
    reason = "it marks no defect, though it is a defect image's: the image counts as unlabelled"
    return [
        {"file": file, "line": None, "reason": reason, "action": "image unlabelled"}
        for file in (files or [image])
    ]


def described(row: dict[str, Any]) -> str:
    """A row of the table `BAD_LABELS` in words."""
    return f"{row['file']}{f' line {line}' if (line := row['line']) else ''}: {row['reason']}"


def first_names(names: Sequence[str], shown: int = 3) -> str:
    """The first of many names."""
    return ", ".join(names[:shown]) + (", …" if len(names) > shown else "")


def first_and_count(names: Sequence[str], shown: int = 5) -> str:
    """The first of many names, and how many more there are."""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest


def fault_sentence(rows: Sequence[dict[str, Any]], key: str, table: str = "") -> str:
    """The first faults by file and line.

    Args:
        rows: rows of the table `BAD_LABELS`, at least one.
        key: dotted path of the config that holds `bad_labels`.
        table: where all of them are listed; "" if nowhere.
    """
    descriptions = [described(row) for row in rows[:SHOWN]]
    more = f"; and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return (
        f"{len(rows)} labels are at fault: {'; '.join(descriptions)}{more}. Correct them, or set "
        f"{key}.bad_labels=clip or drop.{f' All of them: {table}' if table else ''}"
    )
