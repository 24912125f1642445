"""`agssp certify`: what a registered detector finds, and what of it is proven, on one page."""

from collections.abc import Mapping
from typing import Any

import typer

from cluster.cli.command import USER_AT_FAULT, Json, Words, out, run_command
from cluster.cli.projects import project_of
from training.cli.base import RegisteredName, artifact_json

app = typer.Typer()


@app.command("certify")
def certify_command(
    model: RegisteredName,
    words: Words = None,
    as_json: Json = False,
) -> None:
    """Certify a registered detector on the labelled test part: one page for a quality file, and its JSON.

    Exit code 2 where it has seen test images, which are then in no figure.
    """

    def body() -> Mapping[str, Any]:
        project = project_of(words)
        from training.inputs import open_tracker
        from training.opening import check_project, open_run

        data = project.finetune.data
        if data is None:
            check_project(project, "corpus")
        else:
            from pipelines.corpus import list_labelled

            list_labelled(data)
        tracker = open_tracker(project)
        from cluster.registry import Registry

        version = Registry.open(tracker).version(model)
        from cluster.registry import making_of
        from training.certificate import PAGE_FILE, Certified
        from training.certified import certificate_of
        from training.pipeline import Pipeline
        from training.starts import open_model

        making = making_of(tracker, version)
        with (
            open_model(f"models:/{version.name}/{version.version}", lambda: tracker) as source,
            open_run(project, "certify") as site,
        ):
            made = certificate_of(Pipeline(project, site), Certified(version, source, making))
            return {**artifact_json(made), "page": made.directory.uri_of(PAGE_FILE)}

    run_command(body, json_mode=as_json, render=render_certificate, exit_code=certify_exit_code)


def certify_exit_code(result: Mapping[str, Any]) -> int:
    """0, or 2 where test images were seen in training."""
    return USER_AT_FAULT if result["results"]["leaked"] else 0


def render_certificate(result: Mapping[str, Any]) -> None:
    """The findings, and where the page lies."""
    for verdict in result["results"]["verdicts"]:
        out.print(verdict["sentence"], markup=False, soft_wrap=True)
    out.print(f"Certificate: {result['page']}", markup=False, soft_wrap=True)
