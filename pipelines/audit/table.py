"""The audit's table: every rule by what was painted, in the schema `AUDIT`."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.audit.figures import NAMES, CategoryTally, Figures
from pipelines.boxes import PseudoBoxSettings

ALL = "all"
SHOWN = 5  # rules of a category, beside the configured one
TRUE = ("precision", "recall", "f1")


def audit_rows(
    category: str,
    tally: CategoryTally,
    figures: Mapping[str, Figures],
    tried: Sequence[PseudoBoxSettings],
    chosen: int | None,
    truth: CategoryTally | None,
) -> list[dict[str, Any]]:
    """A category's rows, best F1 on all defects first in each group.

    Args:
        category: the category's name.
        tally: its counts.
        figures: group → figures, `all` among them.
        tried: the candidates; the first is the user's own.
        chosen: place of the one that is chosen; None where none is.
        truth: counts on labelled images; None where there are none.
    """
    plain = tally.plain_boxes()
    true = None if truth is None else truth.figures(*truth.groups()[ALL])
    ranking = figures[ALL].values["f1"]
    order = sorted(range(len(tried)), key=lambda place: -_or_0(float(ranking[place])))
    rows = []
    for group, measured in figures.items():
        for place in order:
            row: dict[str, Any] = {
                "category": category,
                "settings": json.dumps(tried[place].deciding(), sort_keys=True),
                "rule": tried[place].rule,
                "own": place == 0,
                "chosen": place == chosen,
                "part": group,
                "defects": measured.defects,
                "boxes": int(measured.boxes[place]),
                "left_out": int(measured.left_out[place]),
                "plain_boxes": known(plain[place]) if group == ALL else None,
            }
            for name in NAMES:
                row[name] = known(measured.values[name][place])
                row[f"{name}_low"] = known(measured.lows[name][place])
                row[f"{name}_high"] = known(measured.highs[name][place])
            for name in TRUE:
                told = true if group == ALL else None
                row[f"true_{name}"] = None if told is None else known(told.values[name][place])
            rows.append(row)
    return rows


def shown_rows(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that people are shown: the first rules and the configured one, and the chosen one by group.

    Args:
        rows: rows of `AUDIT` in the table's order.
    """
    seen: dict[str, int] = {}
    shown = []
    for row in rows:
        whole = row["part"] == ALL
        rank = seen[row["category"]] = seen.get(row["category"], 0) + whole
        if row["chosen"] or (whole and (rank <= SHOWN or row["own"])):
            shown.append(row)
    return shown


def known(value: float) -> float | None:
    """A figure for a table; None where nothing defines it."""
    return None if math.isnan(value) else float(value)


def _or_0(value: float) -> float:
    return 0.0 if math.isnan(value) else float(value)
