"""`agssp predict`: boxes of any images by a trained detector."""

from collections.abc import Mapping, Sequence
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
    render_export as render_labelling,
)
from pipelines.labelling import DEFAULT_URL
from training.cli.base import artifact_json

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
    to: To = None,
    out_folder: OutFolder = None,
    images_in: Images = DEFAULT_IMAGES,
    classes: Classes = None,
    image_url: ImageUrl = DEFAULT_URL,
    yolo_scores: YoloScores = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Find boxes in images: Parquet, COCO JSON and drawn pictures; a killed run goes on where it was.

    With --to and --out the boxes are written for a labelling tool or a training loader too.
    """

    def body() -> Mapping[str, Any]:
        project_of(words)  # reports faults of words and images before torch is imported
        options = options_of(to, out_folder, images_in, classes, image_url, yolo_scores, force)
        from pipelines.corpus import find_images

        files = find_images(images, tell=False).slice(0, 1).to_pylist()
        from training.steps import predict_folder

        made = predict_folder(images, model, *(words or ()))
        if options is None:
            return artifact_json(made)
        from pipelines.labelling import export_boxes

        written = export_boxes(
            made.directory,
            "predictions.parquet",
            options,
            roots=_roots(files),
            classes=made.results["classes"],
            model=str(made.results["model"]),
        )
        return {**artifact_json(made), "export": written}

    run_command(body, json_mode=as_json, render=render_predictions)


def _roots(files: Sequence[Mapping[str, Any]]) -> list[str]:
    """The folder that the images' names begin in."""
    return ["/".join(row["uri"].split("/")[: -len(row["name"].split("/"))]) or "/" for row in files]


def render_predictions(result: Mapping[str, Any]) -> None:
    """Counts and where to look, for a person."""
    from cluster.storage import Storage

    results, where = result["results"], result["directory"]
    classes = ", ".join(f"{name} {count}" for name, count in results["boxes_by_class"].items() if count)
    read = results["images"] + results["quarantined"]
    speed = "" if result["reused"] else f", {read / result['seconds']:.1f} images/s with the start"
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
    if "export" in result:
        render_labelling(result["export"])
