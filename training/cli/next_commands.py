"""`agssp next`: which images to label first, as a list, on the review page and for labelling tools."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.cli.projects import project_of
from pipelines.cli.labelling_options import (
    DEFAULT_IMAGES,
    Classes,
    Force,
    Images,
    ImageUrl,
    OutFolder,
    To,
    YoloScores,
    options_of,
    render_export,
)
from pipelines.labelling import DEFAULT_URL
from training.cli.base import artifact_json

app = typer.Typer()
SHOWN = 20  # images in the terminal's table

Detector = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A detector that is compared with the maps: a .safetensors file, the directory of a finetune "
        "stage, or a registered NAME, NAME@VERSION or NAME@ALIAS.",
        show_default=False,
    ),
]


@app.command("next")
def next_command(
    words: Words = None,
    model: Detector = None,
    to: To = None,
    out_folder: OutFolder = None,
    images: Images = DEFAULT_IMAGES,
    classes: Classes = None,
    image_url: ImageUrl = DEFAULT_URL,
    yolo_scores: YoloScores = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Which images to label first: anomalous, unlike those labelled already, disputed by maps and detector.

    With --to and --out they are written for a labelling tool, with boxes to correct.
    """

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        options = options_of(to, out_folder, images, classes, image_url, yolo_scores, force)
        from training.inputs import open_tracker
        from training.opening import open_pipeline

        with open_pipeline(project, "next", "maps") as pipeline:  # refuses before models' libraries are read
            from pipelines.choice import CHOSEN_BOXES, CHOSEN_FILE
            from pipelines.labelling import export_boxes
            from training.next_images import next_images
            from training.starts import open_model

            opened = nullcontext() if model is None else open_model(model, lambda: open_tracker(project))
            with opened as source:
                made = next_images(pipeline, source)
            rows = made.directory.read_table(CHOSEN_FILE).to_pylist()
            result = {**artifact_json(made), "images": rows}
            if options is None:
                return result
            written = export_boxes(
                made.directory,
                CHOSEN_BOXES,
                options,
                roots=[source.root for _, source in pipeline.corpus_section.keyed_sources()],
                classes=made.results["classes"],
                model=made.results["boxes_of"],
            )
            return {**result, "export": written}

    run_command(body, json_mode=as_json, render=render_next)


def render_next(result: Mapping[str, Any]) -> None:
    """The first images with their reasons, what was left out, where the list lies."""
    from rich.table import Table
    from rich.text import Text

    figures = result["results"]
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in ("", "image", "score", "why"):
        table.add_column(name, overflow="fold")
    for row in result["images"][:SHOWN]:
        cells = (str(row["place"]), row["uri"], f"{row['score']:.3f}", row["reason"])
        table.add_row(*map(Text, cells))
    out.print(table)
    more = len(result["images"]) - SHOWN
    lines = [f"… and {more} more"] if more > 0 else []
    left_out = ", ".join(f"{count} {reason}" for reason, count in figures["left_out"].items())
    lines.append(
        f"{figures['chosen']} of {figures['left_to_label']} images that are left to label"
        + (f"; not among them: {left_out}" if left_out else "")
    )
    if figures["chosen"] < figures["asked"]:
        lines.append(
            f"{figures['asked']} were asked for, and near-duplicates aside no more are left to label."
        )
    if not figures["detector"]:
        lines.append("No detector was asked (--model): maps and diversity alone decide.")
    lines += [
        f"List: {result['directory']}/next.csv",
        'On the page of "agssp view" they are the order "to label first".',
    ]
    for line in lines:
        out.print(Text(line), soft_wrap=True)
    if "export" in result:
        render_export(result["export"])
