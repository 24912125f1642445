"""`agssp export`: a detector's files, or a category's anomaly maps as one file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.command import Json, Words, out, run_command
from cluster.cli.default_command import DefaultCommand
from cluster.cli.projects import project_of
from training.cli.base import artifact_json
from training.cli.detector_commands import Model

if TYPE_CHECKING:
    from cluster.stages import Artifact

app = typer.Typer()
exports = typer.Typer(cls=DefaultCommand, help="Write a detector (build), or a category's maps, as ONNX.")
app.add_typer(exports, name="export")


@exports.command("build")
def export(
    model: Model,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Also copy the files into this folder.", show_default=False)
    ] = None,
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Write a detector as ONNX (dynamic batch, checked against PyTorch) and as its library's own file.

    The same as `agssp export` without a further word. A pretrained
    backbone is written as its library's own file. export.nms=true adds a
    file that needs no steps of yours, export.formats those of OpenVINO and
    of 8 bits, each tried on the test part.
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
    results = artifact.results
    written = [results[kind] for kind in ("onnx", "native") if kind in results]
    written += [name for names in results.get("further", {}).values() for name in names]
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
    for line in [*lines, *_further(results, where)]:
        out.print(line, markup=False, soft_wrap=True)


def _further(results: Mapping[str, Any], where: str) -> list[str]:
    """A line for each further file, and what must be said of them."""
    if "further" not in results:
        return []
    own, lines = results["pytorch"], []
    seen = "held-out images" if own["held_out"] else "generated pictures, as the config names no images"
    lines.append(
        f"PyTorch: {_share(own['map50_95'])} mAP, {_share(own['map50'])} mAP@0.5 on {own['measured_images']} "
        f"labelled images of the test part; {own['latency_ms']:.1f} ms an image, {own['threads']} thread(s); "
        f"compared and timed on {seen}"
    )
    for name, trial in results["files"].items():
        file = results["further"].get(name, [results["onnx"]])[0]
        loss = "" if trial["points_lost"] is None else f", {trial['points_lost']:+.2f} points lost"
        lines.append(
            f"{name}: {where}/{file} ({trial['bytes'] / 2**20:.1f} MiB): {_share(trial['map50_95'])} mAP, "
            f"{_share(trial['map50'])} mAP@0.5{loss}; boxes within {trial['max_box_error']:.2g} pixels, "
            f"scores within {trial['max_score_error']:.2g}; {trial['latency_ms']:.1f} ms, "
            f"{trial['speed_up']:.2f} times as fast"
        )
    if (check := results.get("onnx-nms")) is not None:
        lines.append(
            f"onnx-nms: {where}/{results['further']['onnx-nms'][0]}: {check['detections']} detections, "
            f"{check['unmatched']} other than agssp's; boxes within {check['max_box_error']:.2g} pixels of "
            "the original"
        )
    return [*lines, *(f"WARNING: {sentence}" for sentence in results["warnings"])]


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


@exports.command("maps")
def maps(
    category: Annotated[
        str, typer.Option("--category", help="A category of the corpus.", show_default=False)
    ],
    out_file: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file; maps-CATEGORY.onnx here without it.", show_default=False),
    ] = None,
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Write a category's anomaly maps as one ONNX file: image in, map and score out; checked on its images.

    Encoder, text embeddings, reference bank and threshold are in it; it runs without PyTorch and agssp.
    """

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from pipelines.maps import CategoryCut, export_maps, refuse_unwritable

        refuse_unwritable(project.maps)
        from training.opening import open_pipeline

        with open_pipeline(project, "export maps", "maps") as pipeline:
            cuts = {
                row["category"]: CategoryCut(row["threshold"], row["delta"])
                for row in pipeline.boxes.directory.read_table("thresholds.parquet").to_pylist()
            }
            path = out_file or Path(f"maps-{category.replace('/', '-')}.onnx")
            return export_maps(
                project.maps,
                category=category,
                cuts=cuts,
                maps=pipeline.maps,
                corpus=pipeline.corpus,
                path=path,
            )

    run_command(body, json_mode=as_json, render=render_maps)


def render_maps(result: Mapping[str, Any]) -> None:
    """The file, how exact it is and how it is used, for a person."""
    lines = [
        f"ONNX:    {result['path']} ({result['bytes'] / 2**20:.1f} MiB; on {result['checked_images']} images "
        f"maps are within {result['max_map_error']:.2g} of agssp's, "
        f"scores within {result['max_score_error']:.2g})",
        "How images go in and what comes out is in its metadata, under agssp.",
    ]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
