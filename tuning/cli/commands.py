"""Commands of the studies: `agssp study table4`, and those that are declared."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.cli.projects import project_of
from training.cli.base import artifact_json
from tuning.cli.gain_commands import gain
from tuning.cli.study_commands import Plan, add_studies
from tuning.cli.transfer_commands import transfer

app = typer.Typer()
study = typer.Typer(help="Studies: the papers' tables on your own images.", no_args_is_help=True)
app.add_typer(study, name="study")

# Surfaces that the shipped encoder never saw: its training takes seeds from 10⁹ on.
GENERATED = {"generate": {"seed": 77, "images_per_category": 44}}


@study.command("table4")
def table4(
    words: Words = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; an accelerator where there is one when left out.")
    ] = None,
    plan: Plan = False,
    as_json: Json = False,
) -> None:
    """WinCLIP, April-GAN, AnomalyCLIP, AA-CLIP, KeAD ± defect features ± V-V on labelled images (Table 4).

    Without images in the config it runs on generated surfaces. Finished rows are kept: the same command
    goes on. Nothing is trained here or drawn at random, so it has no presets and seeds as other studies
    have: April-GAN, AnomalyCLIP and AA-CLIP take heads that `agssp train maps` made of other images. Its
    settings are those of maps.encoder, maps.kead, maps.winclip, maps.aprilgan, maps.anomalyclip and
    maps.aaclip.
    """

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        if not (project.corpus.root or project.corpus.sources):
            project = project_of(words, GENERATED)
        if plan:
            from tuning.table4 import planned_rows

            return {"rows": planned_rows(project.maps)}
        from tuning.table4 import check_device, run_table4

        return artifact_json(run_table4(project, check_device(device)))

    run_command(body, json_mode=as_json, render=render_rows if plan else render)


add_studies(study)
study.command("transfer")(transfer)
study.command("gain")(gain)


def render_rows(result: Mapping[str, Any]) -> None:
    """The rows that would be run, for a person."""
    for row in result["rows"]:
        flags = [name for name, key in (("DF", "defect_features"), ("V-V", "vv")) if row[key]]
        state = "runs" if row["not_run"] is None else f"not run: {row['not_run']}"
        out.print(" ".join([row["model"], row["mode"], *flags]) + f": {state}", markup=False, soft_wrap=True)


def render(result: Mapping[str, Any]) -> None:
    """The table and its notes, for a person."""
    from rich.table import Table
    from rich.text import Text

    from tuning.table4 import HEADER, cells

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
