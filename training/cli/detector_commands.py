"""`agssp predict` and `agssp export`: the uses of a trained detector."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.cli.projects import project_of
from training.cli.base import artifact_json

if TYPE_CHECKING:
    from cluster.stages import Artifact

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
        project_of(words)  # reports faults of words and images before torch is imported
        from pipelines.corpus import find_images

        find_images(images)
        from training.steps import predict_folder

        return artifact_json(predict_folder(images, model, *(words or ())))

    run_command(body, json_mode=as_json, render=render_predictions)


@app.command()
def export(
    model: Model,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Also copy the files into this folder.", show_default=False)
    ] = None,
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Write a detector as ONNX (dynamic batch, checked against PyTorch) and as its library's own file.

    A pretrained backbone is written as its library's own file.
    """

    def body() -> Mapping[str, Any]:
        project_of(words)
        from training.steps import export as export_weights

        artifact = export_weights(model, *(words or ()))
        if out_folder is not None:
            _copy(artifact, out_folder)
        return {**artifact_json(artifact), "copied_to": str(out_folder) if out_folder else None}

    run_command(body, json_mode=as_json, render=render_export)


def _copy(artifact: "Artifact", folder: Path) -> None:
    from cluster.storage import Storage, workspace_faults
    from training.export import CONTRACT_FILE

    target = Storage.open(str(folder))
    target.create()
    written = [artifact.results[kind] for kind in ("onnx", "native") if kind in artifact.results]
    with workspace_faults(target):
        for name in (*written, CONTRACT_FILE):
            target.write(name, artifact.directory.read(name))


def render_export(result: Mapping[str, Any]) -> None:
    """The files, how exact they are and how they are loaded, for a person."""
    results = result["results"]
    where = result["copied_to"] or result["directory"]
    lines = [
        f"Native:  {where}/{results['native']}",
        f"         {results['load']}",
        f"How images go in and what comes out: {where}/contract.json",
    ]
    if "onnx" in results:
        lines.insert(
            0,
            f"ONNX:    {where}/{results['onnx']} (against PyTorch: boxes within "
            f"{results['max_box_error']:.2g} pixels, scores within {results['max_score_error']:.2g})",
        )
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)


def render_predictions(result: Mapping[str, Any]) -> None:
    """Counts and where to look, for a person."""
    from cluster.storage import Storage

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
