"""`agssp audit boxes`: which rule of boxes finds defects that are painted onto the user's own images."""

from collections.abc import Iterable, Mapping
from typing import Any

import typer
from rich.markup import escape

from cluster.cli.command import Json, Words, listing_table, out, run_command
from cluster.cli.projects import project_of
from training.cli.base import artifact_json

UNKNOWN = "–"
FIGURES = 70  # characters of the columns beside the settings

app = typer.Typer()
audit = typer.Typer(no_args_is_help=True, help="Judge rules of boxes without labels.")
app.add_typer(audit, name="audit")


@audit.command("boxes")
def boxes(words: Words = None, as_json: Json = False) -> None:
    """Tell without labels which boxes.rule is best, by defects painted onto your own images."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from training.opening import open_pipeline

        with open_pipeline(project, "audit boxes", "maps") as pipeline:
            from pipelines.audit import AUDIT_FILE, shown_rows

            made = pipeline.audit
            rows = made.directory.read_table(AUDIT_FILE).to_pylist()
            return {**artifact_json(made), "table": shown_rows(rows)}

    run_command(body, json_mode=as_json, render=render_audit)


def render_audit(result: Mapping[str, Any]) -> None:
    """The tables, then what is chosen and why."""
    from pipelines.audit import SHEET_FILE, settings_words

    by_category: dict[str, list[Mapping[str, Any]]] = {}
    for row in result["table"]:
        by_category.setdefault(row["category"], []).append(row)
    for category, rows in by_category.items():
        whole = [row for row in rows if row["part"] == "all"]
        names = [f"{settings_words(row['settings'])}{_note(row)}" for row in whole]
        # Folded into a few letters a line, settings can't be read; then they stand below by number.
        beside = max(map(len, names)) + FIGURES <= out.width
        title = f"{category}, percent [95 % interval]"
        _print_figures(title, "settings" if beside else "", zip(names, whole, strict=True), beside)
        if not beside:
            for number, name in enumerate(names, start=1):
                out.print(f"{number}: {name}", markup=False, soft_wrap=True)
        parts = [row for row in rows if row["part"] != "all"]
        if parts:
            named = ((row["part"], row) for row in parts)
            _print_figures("The chosen settings by the defects' size and kind", "", named, beside=True)
    for verdict in result["results"]["verdicts"]:
        out.print(verdict["sentence"], markup=False, soft_wrap=True)
    for category, told in result["results"].get("agreement", {}).items():
        out.print(agreement_sentence(category, told), markup=False, soft_wrap=True)
    out.print(f"Pictures: {result['directory']}/{SHEET_FILE}", markup=False, soft_wrap=True)
    out.print(f"Result: {result['directory']}", markup=False, soft_wrap=True)


def _print_figures(
    title: str, head: str, rows: Iterable[tuple[str, Mapping[str, Any]]], beside: bool
) -> None:
    """Figures of settings or of parts, a row each.

    Args:
        title: the line above.
        head: heading of the names.
        rows: name and row of each.
        beside: whether names stand in the first column, in one line; else numbers do.
    """
    named = list(rows)
    optional = {
        "on a normal image": [_count(row["plain_boxes"]) for _, row in named],
        "F1 by labels": [_percent(row["true_f1"]) for _, row in named],
    }
    told = {name: cells for name, cells in optional.items() if set(cells) != {UNKNOWN}}
    table = listing_table(
        head, "boxes", "precision", "recall", "F1", "IoU", *told, whole=0, title=escape(title)
    )
    table.box, table.pad_edge, table.collapse_padding = None, False, True
    for place, (name, row) in enumerate(named):
        figures = [_interval(row, figure) for figure in ("precision", "recall", "f1")]
        cells = [str(row["boxes"]), *figures, _percent(row["iou"]), *(told[each][place] for each in told)]
        table.add_row(escape(name) if beside else str(place + 1), *cells)
    out.print(table)


def _note(row: Mapping[str, Any]) -> str:
    marks = [word for key, word in (("chosen", "chosen"), ("own", "configured")) if row[key]]
    return f" ({', '.join(marks)})" if marks else ""


def agreement_sentence(category: str, told: Mapping[str, Any]) -> str:
    """How well the audit foresaw what the labels say."""
    if told["spearman"] is None:
        return f'"{category}": the labels tell nothing of the audit, as all rules do alike on one of both.'
    chosen = "" if told["true_f1"] is None else f" {_percent(told['true_f1'])} of the chosen and"
    halves = told["labels_agree"]
    sure = "" if halves is None else f" (two halves of the labels agree on it by {halves:.2f})"
    return (
        f'"{category}": the audit foretells the order of the rules by the labels with a Spearman correlation '
        f"of {told['spearman']:.2f}{sure}; F1 by labels is{chosen} {_percent(told['best_true_f1'])} % of the "
        "best."
    )


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{share * 100:.1f}"


def _interval(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    ends = "" if low is None or high is None else f" [{low * 100:.0f}–{high * 100:.0f}]"
    return f"{_percent(row[name])}{ends}"


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2f}"
