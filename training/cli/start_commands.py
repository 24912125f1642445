"""`agssp train start`: weights that trainings of detectors begin with."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.command import Json, Words, run_command
from cluster.cli.projects import project_of
from cluster.errors import UserError
from cluster.progress import say
from cluster.recipes import recipes
from training.cli.base import render_stage

if TYPE_CHECKING:
    from cluster.stages import Artifact

RECIPE = "surface-start"


def start(
    out: Annotated[Path, typer.Option(help="Folder for the weights; an interrupted run in it is resumed.")],
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Train the start `surface` on generated surfaces alone: recipe:surface-start, as one float16 file."""

    def body() -> Mapping[str, Any]:
        base = {**recipes()[RECIPE], "workspace": str(out / "work")}
        project = project_of(words, base)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"Folder {out} can't be made: {error.strerror}.") from None
        from training.opening import open_pipeline
        from training.starts import WEIGHTS_FILE, write_start

        with open_pipeline(project, "train start", "detector") as pipeline:
            detector = pipeline.detector
            stages = pipeline.sources("agssp")
            surfaces = pipeline.surfaces
            if surfaces is not None:
                stages = {"surfaces": surfaces, **stages}
            made = {"stages": {name: _said(stage) for name, stage in stages.items()}}
            with detector.directory.local_copy(WEIGHTS_FILE) as path:
                digest = write_start(path, out / WEIGHTS_FILE, made)
        size = (out / WEIGHTS_FILE).stat().st_size
        say(f"start: {out / WEIGHTS_FILE}, {size / 1e6:.1f} MB")
        return {
            "stage": "start",
            "directory": str(out),
            "reused": detector.reused,
            "seconds": detector.record["seconds"],
            "results": {"file": str(out / WEIGHTS_FILE), "bytes": size, "sha256": digest},
        }

    run_command(body, json_mode=as_json, render=render_stage)


def _said(stage: "Artifact") -> dict[str, Any]:
    """What the weights' file says of a stage; where its images lay on this machine is nobody's business."""
    record = stage.record
    config = {key: value for key, value in record["config"].items() if key != "root"}
    return {"fingerprint": stage.fingerprint, "config": config, "versions": record["versions"]}
