"""`agssp loop`: from new images to a better version, a step at each call."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, listing_table, out, run_command
from cluster.cli.projects import project_of

app = typer.Typer()

Despite = Annotated[
    list[str] | None,
    typer.Option(
        "--despite",
        help="Go on all the same: drift (of the new images), missing (labels of some images), moved (others "
        "promoted another version meanwhile); repeatable.",
        show_default=False,
    ),
]
Show = Annotated[bool, typer.Option("--show", help="Tell where it stands, and take no step.")]


@app.command("loop")
def loop_command(
    words: Words = None,
    despite: Despite = None,
    show: Show = False,
    as_json: Json = False,
) -> None:
    """Take the next step from new images to a better version; the same command goes on where it stands.

    It finds boxes in active_learning.images, compares them with the corpus, writes the images to label first
    for a labelling tool, reads the corrected labels back, finetunes on old and new ones, and promotes the
    candidate where a paired test on held-out images proves it better.
    """

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from cluster.errors import UserError, nearest
        from cluster.storage import Storage
        from training.improving import DESPITE, refuse_unready, standing

        wanted = frozenset(despite or ())
        if unknown := sorted(wanted - set(DESPITE)):
            raise UserError(f"--despite {unknown[0]} is unknown; {nearest(unknown[0], DESPITE)}")
        if show:
            return standing(project, Storage.open(project.workspace)).document()
        refuse_unready(project)
        from training.inputs import open_tracker
        from training.opening import check_project, open_pipeline

        check_project(project, "finetune")
        with open_pipeline(project, "loop", "maps") as pipeline:
            from training.improving import take_step

            return take_step(pipeline, open_tracker(project), wanted).document()

    run_command(body, json_mode=as_json, render=render_loop)


def render_loop(result: Mapping[str, Any]) -> None:
    """A row a round, the next step, where the page lies."""
    from training.active_learning import points, share

    table = listing_table("round", "new", "drift", "labelled", "mAP, %", "difference", "")
    for row in result["rounds"]:
        labelled = "–" if row["asked"] is None else f"{row['labelled']} of {row['asked']}"
        versions = "–" if row["candidate"] is None else f"{share(row['in_use'])} → {share(row['candidate'])}"
        told = {None: "", True: "promoted", False: "kept"}[row["promoted"]]
        counts = (_count(row[name]) for name in ("new_images", "drift"))
        table.add_row(str(row["round"]), *counts, labelled, versions, points(row), told)
    out.print(table)
    for line in (f"In use: {result['in_use'] or '–'} ({result['alias']})", result["next"]):
        out.print(line, markup=False, soft_wrap=True)
    out.print(f"Page: {result['page']}", markup=False, soft_wrap=True)


def _count(value: Any) -> str:
    return "–" if value is None else str(value)
