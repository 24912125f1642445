"""What a project's commands open, after all that can be checked has been.

A fault of config, folders, references or prompts is told before torch, Ray or a model library is imported.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError
from cluster.on_ray import ray_session
from cluster.stages import Site
from cluster.storage import Storage, check_uri
from cluster.tracking import Tracker
from pipelines.corpus import CorpusSection, Listing, ReferenceNeed, list_labelled
from training.project import Project
from training.starts import AGBP, AGSSP

if TYPE_CHECKING:
    from training.pipeline import Pipeline


@contextmanager
def open_run(project: Project, name: str) -> Iterator[Site]:
    """The workspace and the tracking run of a command, with Ray for the stages that need it.

    Args:
        project: the config.
        name: of the command, shown in tracking.

    Raises:
        UserError: workspace or tracking server at fault.
    """
    check_uri(project.workspace, "workspace")
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    tags = {"agssp.project": project.name, "agssp.command": name}
    with ray_session(project.ray), tracker.pipeline(f"{project.name}: {name}", tags) as run:
        yield Site(workspace, run)


def open_tracker(project: Project) -> Tracker:
    """Where the project's runs and models are recorded, for asking only.

    Raises:
        UserError: see `Tracker.open`.
    """
    return Tracker.open(project.tracking, Storage.open(project.workspace))


def read_listing(corpus: CorpusSection, need: ReferenceNeed | None) -> Listing:
    """List the corpus and check it against the config, without Ray and without reading a pixel.

    Args:
        corpus: the config.
        need: references of every category; None where none are needed.

    Raises:
        UserError: no root, no image, categories without references.
    """
    if not corpus.root and not corpus.sources:
        raise UserError(
            "corpus.root is not set; give a folder of images, e.g. corpus.root=photos, or several in "
            "corpus.sources."
        )
    listing = Listing(corpus)
    if need is not None:
        listing.require_references(corpus, need)
    return listing


def check_inputs(project: Project) -> None:
    """Refuse folders, references and prompts that are at fault, before a heavy library is imported.

    Raises:
        UserError: the first fault found.
    """
    categories: set[str] = set()
    data, starts = project.finetune.data, set(project.finetune.starts)
    own = project.corpus.root or project.corpus.sources
    if project.generate is None and (own or data is None or starts & {AGBP, AGSSP}):
        listing = read_listing(project.corpus, project.maps.reference_need)
        categories = {entry.category for entry in listing.entries}
    project.maps.prompts_of(categories)
    if data is not None:
        list_labelled(data)


def check_project(project: Project) -> None:
    """Whatever can be refused before anything is written or started: folders, references, prompts, weights.

    Raises:
        UserError: the first fault found.
    """
    check_inputs(project)
    from training.pipeline import check_models  # brings torch and the model libraries

    check_models(project)


@contextmanager
def open_pipeline(project: Project, name: str) -> Iterator["Pipeline"]:
    """Check, then open workspace, tracking and (when a stage needs it) Ray for a command.

    Args:
        project: the config.
        name: of the command, shown in tracking.

    Raises:
        UserError: workspace, tracking server or input at fault.
    """
    check_project(project)
    from training.pipeline import Pipeline

    with open_run(project, name) as site:
        yield Pipeline(project, site)


def whole_run(project: Project, name: str) -> Mapping[str, Any]:
    """Every stage of a project, and what came of them as one JSON-able mapping."""
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
            "maps": artifacts["evaluate_maps"].results,
            "table": report.results["table"],
            "report": f"{report.directory.uri}/report.html",
            "model": artifacts["register"].results,
            "wall_seconds": round(time.monotonic() - began, 1),
        }
