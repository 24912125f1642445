"""`agssp boxes`: make the pseudo-boxes, and write them for a labelling tool."""

from collections.abc import Mapping
from typing import Any

import typer

from cluster.cli.command import Json, Words, run_command
from cluster.cli.default_command import DefaultCommand
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
from training.cli.base import artifact_json, stage_command

app = typer.Typer()
boxes = typer.Typer(
    cls=DefaultCommand, help="Derive pseudo-boxes (build), or write them for labelling tools."
)
app.add_typer(boxes, name="boxes")


@boxes.command("build")
def build(words: Words = None, as_json: Json = False) -> None:
    """Derive pseudo-boxes, with COCO and YOLO exports; the same as `agssp boxes` without a further word."""
    stage_command("boxes", words, as_json, lambda pipeline: pipeline.boxes, "maps")


@boxes.command("export")
def export(
    words: Words = None,
    to: To = None,
    out_folder: OutFolder = None,
    images: Images = DEFAULT_IMAGES,
    classes: Classes = None,
    image_url: ImageUrl = DEFAULT_URL,
    yolo_scores: YoloScores = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write the pseudo-boxes as pre-annotations for a labelling tool, to be corrected there."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        options = options_of(to, out_folder, images, classes, image_url, yolo_scores, force, needed=True)
        from training.opening import open_pipeline

        with open_pipeline(project, "boxes export", "maps") as pipeline:
            from pipelines.boxes import CLASS_NAME
            from pipelines.labelling import export_boxes

            made = pipeline.boxes
            written = export_boxes(
                made.directory,
                "boxes.parquet",
                options,
                roots=[source.root for _, source in pipeline.corpus_section.keyed_sources()],
                classes=[CLASS_NAME],
                model=f"agssp boxes {made.fingerprint[:16]}",
            )
            return {**artifact_json(made), **written}

    run_command(body, json_mode=as_json, render=render_export)
