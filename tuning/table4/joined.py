"""The tables of several data sets and encoders as one, in the order of the paper's Table 4."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning.markdown import bullets, grid
from tuning.table4.paper import PaperRow, paper_table4
from tuning.table4.text import PAPER_ONLY, explained, percent

Names = tuple[Any, ...]  # model, encoder, mode, defect features, V-V
COLUMNS = ("model", "encoder", "mode", "DF", "V-V")
PAPER_COLUMNS = ("paper: Casting Billet", "paper: Steel Pipe")
TITLE = "Table 4: anomaly maps by image and pixel AUROC"
NOTES = (
    "image / pixel: AUROC in percent over all images together, ours and the paper's; rows in the paper's "
    "order, then those that it does not print.",
    "KeAD without V-V reads the plain path's patches here; what the paper read there it does not say.",
)


@dataclass(frozen=True)
class MadeTable:
    """One table of the study.

    Attributes:
        dataset, encoder: what it is of.
        results: what the stage returned, with `rows` from `comparison`; None where it could not be made.
        not_run: why not.
    """

    dataset: str
    encoder: str
    results: Mapping[str, Any] | None = None
    not_run: str | None = None


def joined(tables: Sequence[MadeTable]) -> dict[str, Any]:
    """Title, header, lines and notes of all tables together; JSON-able.

    Every row of the paper stands in it, beside ours of the same encoder where one was measured.
    """
    paper = paper_table4()
    datasets = list(dict.fromkeys(table.dataset for table in tables))
    ours: dict[Names, dict[str, Mapping[str, Any]]] = {}
    places: dict[Names, int] = {
        (row.model, row.encoder, row.mode, row.defect_features, row.vv): place
        for place, row in enumerate(paper.rows)
    }
    beside: dict[Names, int] = {}
    for table in tables:
        for row in _measured(table):
            names = tuple(row[name] for name in ("model", "encoder", "mode", "defect_features", "vv"))
            ours.setdefault(names, {})[table.dataset] = row
            if row["paper"]:
                beside[names] = places[names[0], row["paper"]["encoder"], *names[2:]]
    lines = [
        (beside.get(names, len(places)), _line(names, rows, datasets, paper.rows, beside.get(names)))
        for names, rows in ours.items()
    ]
    for place, printed in enumerate(paper.rows):
        if place not in beside.values():
            names = (printed.model, printed.encoder, printed.mode, printed.defect_features, printed.vv)
            lines.append((place, _line(names, {}, datasets, paper.rows, place)))
    return {
        "title": TITLE,
        "header": [*COLUMNS, *datasets, *PAPER_COLUMNS],
        "lines": [line for _, line in sorted(lines, key=lambda pair: pair[0])],
        "notes": _notes(tables, paper.source),
        "tables": [
            {
                "dataset": each.dataset,
                "encoder": each.encoder,
                "results": each.results,
                "not_run": each.not_run,
            }
            for each in tables
        ],
    }


def _measured(table: MadeTable) -> list[Mapping[str, Any]]:
    """Its rows but those that only the paper has."""
    rows = table.results["rows"] if table.results is not None else ()
    return [row for row in rows if row["not_run"] != PAPER_ONLY]


def _line(
    names: Names,
    rows: Mapping[str, Mapping[str, Any]],
    datasets: Sequence[str],
    paper: Sequence[PaperRow],
    place: int | None,
) -> list[str]:
    model, encoder, mode, *flags = names
    signs = ["–" if flag is None else "✓" if flag else "✗" for flag in flags]
    printed = ["–", "–"]
    if place is not None:
        pairs = (paper[place].casting_billet, paper[place].steel_pipe)
        printed = [f"{pair.image:.1f} / {pair.pixel:.1f}" for pair in pairs]
    return [model, encoder, mode, *signs, *(_ours(rows.get(name)) for name in datasets), *printed]


def _ours(row: Mapping[str, Any] | None) -> str:
    if row is None or row["not_run"]:
        return "not run"
    marks = row.get("marks", {})
    figures = [percent(row[name]) + marks.get(name, "") for name in ("image_auroc", "pixel_auroc")]
    return " / ".join(figures)


def _notes(tables: Sequence[MadeTable], source: str) -> list[str]:
    rows = [(table, row) for table in tables for row in _measured(table)]
    notes = [*explained(row for _, row in rows), *NOTES, f"Paper: {source}."]
    notes += [
        f"Not run: {table.encoder} on {table.dataset}: {table.not_run}" for table in tables if table.not_run
    ]
    reasons: dict[str, list[str]] = {}
    for table, row in rows:
        if row["not_run"]:
            who = f"{row['model']} {row['mode']} with {table.encoder} on {table.dataset}"
            reasons.setdefault(row["not_run"], []).append(who)
    return notes + [
        f"Not run: {', '.join(dict.fromkeys(who))}: {reason.rstrip('.')}." for reason, who in reasons.items()
    ]


def joined_markdown(table: Mapping[str, Any]) -> str:
    """The joined table as a document."""
    return f"# {table['title']}\n\n{grid(table['header'], table['lines'])}\n\n{bullets(table['notes'])}\n"
