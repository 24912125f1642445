"""What a project's commands open after their checks.

Faults of config, folders, references or prompts are reported before torch, Ray or a model library is
imported.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipelines.layouts import refuse_missing_root
from training.project import Project

if TYPE_CHECKING:
    from cluster.stages import Site
    from training.inputs import Goal
    from training.pipeline import Pipeline


@contextmanager
def open_run(project: Project, name: str) -> Iterator["Site"]:
    """The workspace and the tracking run of a command, with Ray for the stages that need it.

    Args:
        project: the config.
        name: the command's name, shown in tracking.

    Raises:
        UserError: workspace or tracking server at fault, or see `workspace_faults`.
    """
    from cluster.on_ray import ray_session
    from cluster.stages import Site
    from cluster.storage import Storage, check_uri, workspace_faults
    from cluster.tracking import Tracker

    check_uri(project.workspace, "workspace")
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    tags = {"agssp.project": project.name, "agssp.command": name}
    with (
        workspace_faults(workspace),
        ray_session(project.ray),
        tracker.pipeline(f"{project.name}: {name}", tags) as run,
    ):
        yield Site(workspace, run)


def check_project(project: Project, goal: "Goal" = "run") -> None:
    """Refuse faults of folders, references, prompts and weights before anything is written or started.

    Args:
        project: the config.
        goal: how far the command goes; what later stages alone need is not asked for.

    Raises:
        UserError: the first fault found.
    """
    for key, source in project.corpus.keyed_sources():
        refuse_missing_root(source.root, f"{key}.root")
    from training.inputs import check_inputs  # brings NumPy and Arrow

    check_inputs(project, goal)
    from training.model_checks import check_models  # brings torch and the model libraries where it needs them

    check_models(project, goal)


@contextmanager
def open_pipeline(project: Project, name: str, goal: "Goal" = "run") -> Iterator["Pipeline"]:
    """Check, then open workspace, tracking and (when a stage needs it) Ray for a command.

    Args:
        project: the config.
        name: the command's name, shown in tracking.
        goal: see `check_project`.

    Raises:
        UserError: workspace, tracking server or input at fault.
    """
    check_project(project, goal)
    from training.pipeline import Pipeline

    with open_run(project, name) as site:
        yield Pipeline(project, site)


def whole_run(project: Project, name: str) -> Mapping[str, Any]:
    """Run every stage of a project; returns the results as one JSON-able mapping."""
    began = time.monotonic()
    with open_pipeline(project, name) as pipeline:
        report = pipeline.report
        artifacts = pipeline.artifacts()
        return {
            "project": project.name,
            "workspace": pipeline.site.workspace.uri,
            "counts": {stage: artifact.results for stage, artifact in artifacts.items()},
            "seconds": {stage: artifact.record["seconds"] for stage, artifact in artifacts.items()},
            "reused": [stage for stage, artifact in artifacts.items() if artifact.reused],
            "maps": artifacts["evaluate_maps"].results if "evaluate_maps" in artifacts else None,
            "table": report.results["table"],
            "headline": report.results["headline"],
            "report": f"{report.directory.uri}/report.html",
            "model": {**artifacts["register"].results, "verdicts": report.results["verdicts"]},
            "wall_seconds": round(time.monotonic() - began, 1),
        }
