"""Commands of the studies: `agssp study table4`, and those that are declared."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.config import merged, split_words, validate
from training.cli.base import artifact_json
from tuning.cli.gain_commands import gain
from tuning.cli.study_commands import Data, Plan, Preset, add_studies, data_sets, render_study
from tuning.cli.study_tables import print_lines
from tuning.cli.transfer_commands import transfer

app = typer.Typer()
study = typer.Typer(help="Studies: the papers' tables on your own images.", no_args_is_help=True)
app.add_typer(study, name="study")


@study.command("table4")
def table4(
    words: Words = None,
    preset: Preset = "cpu",
    data: Data = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="maps.encoder.model of a table; again for a further one. The preset's when left out: the "
            "config's own (cpu), base, large and huge (full).",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; an accelerator where there is one when left out.")
    ] = None,
    plan: Plan = False,
    as_json: Json = False,
) -> None:
    """WinCLIP, April-GAN, AnomalyCLIP, AA-CLIP, KeAD ± defect features ± V-V on labelled images (Table 4).

    Without images in the config the cpu preset runs on generated surfaces; the full one wants the paper's
    Casting Billet and Steel Pipe in --data. Several data sets or encoders end in one joined table, in the
    paper's order. Finished rows are kept: the same command goes on. Nothing is trained here or drawn at
    random, so there are no --seeds: April-GAN, AnomalyCLIP and AA-CLIP take heads that `agssp train maps`
    made of other images. Its settings are those of maps.encoder, maps.kead, maps.winclip, maps.aprilgan,
    maps.anomalyclip and maps.aaclip.
    """

    def body() -> Mapping[str, Any]:
        from training.project import Project
        from tuning.table4 import table_runs

        document, source = merged(*split_words(words), {})
        project = validate(Project, document, source)

        runs = table_runs(document, preset, encoder or (), data_sets(data))
        if plan:
            return {"rows": [row for each in runs for row in each.rows()]}
        from tuning.table4 import check_device, run_table4, run_tables

        chosen = check_device(device)
        if len(runs) == 1 and runs[0].project is not None:
            return artifact_json(run_table4(runs[0].project, chosen))
        return run_tables(runs, project, chosen)

    run_command(body, json_mode=as_json, render=render_rows if plan else render)


add_studies(study)
study.command("transfer")(transfer)
study.command("gain")(gain)


def render_rows(result: Mapping[str, Any]) -> None:
    """The rows that would be run, for a person: those that run, then the rest by what they lack."""
    groups: dict[str | None, dict[tuple[str, str], list[str]]] = {}
    for row in result["rows"]:
        flags = [name for name, key in (("DF", "defect_features"), ("V-V", "vv")) if row[key]]
        where = groups.setdefault(row["not_run"], {}).setdefault((row["dataset"], row["encoder"]), [])
        where.append(" ".join([row["model"], row["mode"], *flags]))
    for reason in sorted(groups, key=lambda reason: reason is not None):
        print_lines(["runs:" if reason is None else f"not run: {reason}"])
        for (dataset, encoder), names in groups[reason].items():
            print_lines([f"  {encoder} on {dataset}, {len(names)} rows: {', '.join(names)}"])


def render(result: Mapping[str, Any]) -> None:
    """The table and its notes, for a person."""
    from rich.table import Table
    from rich.text import Text

    from tuning.table4 import HEADER, cells

    if "results" not in result:
        render_study(result)
        return
    results = result["results"]
    table = Table(
        title=f"Table 4 on {results['images']} labelled images",
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in HEADER:
        table.add_column(column, overflow="fold")
    for line in results["rows"]:
        table.add_row(*(Text(text) for text in cells(line)))
    out.print(table)
    for note in results["notes"]:
        out.print(Text(note), soft_wrap=True)
    out.print(Text(f"Saved: {result['directory']}/table4.md, table4.json"), soft_wrap=True)
