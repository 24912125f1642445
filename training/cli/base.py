"""What the commands of a project share: its config, an artifact as JSON, a stage's command."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cluster.cli.command import out, render_table, run_command
from cluster.cli.projects import project_of

if TYPE_CHECKING:
    from cluster.stages import Artifact
    from training.inputs import Goal

RegisteredName = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@ALIAS]",
        help="A registered model: NAME (its newest version), NAME@VERSION or NAME@ALIAS.",
        show_default=False,
    ),
]


def artifact_json(artifact: "Artifact") -> dict[str, Any]:
    """An artifact as commands report it."""
    return {
        "stage": artifact.stage,
        "directory": artifact.directory.uri,
        "fingerprint": artifact.fingerprint,
        "reused": artifact.reused,
        "seconds": artifact.record["seconds"],
        "results": artifact.results,
    }


def render_stage(result: Mapping[str, Any]) -> None:
    """A table of the figures, then where the stage lies; nested records stay in its `stage.json`."""
    figures = {
        name: value
        for name, value in result["results"].items()
        if name != "verdicts"
        and not (isinstance(value, Mapping) and any(isinstance(one, Mapping) for one in value.values()))
    }
    render_table({**{name: result[name] for name in ("stage", "reused", "seconds")}, **figures})
    for verdict in result["results"].get("verdicts", ()):
        out.print(verdict["sentence"], markup=False, soft_wrap=True)
    out.print(f"Result: {result['directory']}", markup=False, soft_wrap=True)


def stage_command(
    name: str,
    words: list[str] | None,
    json_mode: bool,
    make: Callable[[Any], "Artifact"],
    goal: "Goal" = "run",
) -> None:
    """Run the pipeline up to one artifact and report it; `goal` says how far that is."""

    def body() -> Mapping[str, Any]:
        project = project_of(words)  # reports its faults before anything else is imported
        from training.opening import open_pipeline

        with open_pipeline(project, name, goal) as pipeline:
            return artifact_json(make(pipeline))

    run_command(body, json_mode=json_mode, render=render_stage)
