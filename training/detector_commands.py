"""`agssp predict` and `agssp export`: what is done with a detector once it is trained."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cluster.command import Json, Words, out, run_command
from cluster.storage import Storage
from cluster.tracking import Tracker
from training.commands import artifact_json, project_of

app = typer.Typer()

Model = Annotated[
    str,
    typer.Option(
        "--model",
        help="A .safetensors file, the directory of a finetune stage, or a registered NAME, NAME@VERSION or "
        "NAME@ALIAS.",
        show_default=False,
    ),
]


@app.command()
def predict(
    images: Annotated[str, typer.Argument(help="A folder, an image or a glob, local or by URI.")],
    model: Model,
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Find boxes in images: Parquet, COCO JSON and drawn pictures; a killed run goes on where it was."""

    def body() -> Mapping[str, Any]:
        from pipelines.image_paths import find_images
        from training.model_source import open_model
        from training.predict_stage import predict_images
        from training.project import open_run

        project = project_of(words)
        files = find_images(images)
        with open_model(model, lambda: _tracker(project)) as source, open_run(project, "predict") as run:
            workspace, pipeline = run
            made = predict_images(
                project.predict, files=files, model=source, workspace=workspace, pipeline=pipeline
            )
            return artifact_json(made)

    run_command(body, json_mode=as_json, render=render_predictions)


def _tracker(project: Any) -> Tracker:
    return Tracker.open(project.tracking, Storage.open(project.workspace))


def render_predictions(result: Mapping[str, Any]) -> None:
    """Counts and where to look, for a person."""
    results, where = result["results"], result["directory"]
    classes = ", ".join(f"{name} {count}" for name, count in results["boxes_by_class"].items() if count)
    read = results["images"] + results["quarantined"]
    speed = "" if result["reused"] else f", {read / result['seconds']:.1f} images/s with Ray's start"
    lines = [
        f"{results['boxes']} boxes in {results['with_boxes']} of {results['images']} images"
        f"{f' ({classes})' if classes else ''}{speed}",
        f"Boxes:  {where}/predictions.parquet, coco.json, results.json",
    ]
    if results["quarantined"]:
        lines.insert(1, f"Left out: {results['quarantined']} unreadable; {where}/quarantine.parquet says why")
    if Storage.open(where).exists("drawn"):
        lines.append(f"Drawn:  {where}/drawn")
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
