"""`agssp train`: the head of a map method, on painted defects or on labelled images; an encoder; a start."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from cluster.cli.command import Json, Words, run_command
from cluster.cli.projects import project_of
from training.cli.base import artifact_json, render_stage
from training.cli.encoder_commands import encoder
from training.cli.start_commands import start

app = typer.Typer()
train = typer.Typer(no_args_is_help=True, help="Train what maps are made with, or a start.")
app.add_typer(train, name="train")
train.command("encoder")(encoder)
train.command("start")(start)


class Method(StrEnum):
    """Map methods with a trained head."""

    painted = "painted"
    aprilgan = "aprilgan"
    anomalyclip = "anomalyclip"
    aaclip = "aaclip"


@train.callback()
def _train() -> None:
    """Train what maps are made with, or a start."""


@train.command("maps")
def maps(
    words: Words = None,
    method: Annotated[
        Method, typer.Option(help="painted learns without labels, the others from the corpus' labels.")
    ] = Method.painted,
    as_json: Json = False,
) -> None:
    """Train the head of a map method; the file it names is maps.METHOD.head elsewhere."""

    def body() -> Mapping[str, Any]:
        project = project_of([*(words or []), f"maps.method={method.value}"])
        from training.opening import open_pipeline

        with open_pipeline(project, "train maps", "corpus") as pipeline:
            return artifact_json(pipeline.head)

    run_command(body, json_mode=as_json, render=render_stage)
