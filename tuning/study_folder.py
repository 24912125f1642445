"""A study under way: the folder of its table, its workspace and tracking run, and cells that are refused."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cluster.errors import UserError
from cluster.on_ray import ray_session
from cluster.progress import say
from cluster.stages import Site, digest
from cluster.storage import Storage, no_space, workspace_faults
from cluster.tracking import Run, Tracker, ending
from training.project import Project

T = TypeVar("T")
TABLE_FILE = "table.json"
DECIDES_NOTHING = {"workspace", "ray", "tracking", "scaling"}  # of a project: where and how it runs


def table_key(settings: Mapping[str, Any], projects: Sequence[Project]) -> str:
    """Digest of study and projects, so that other settings get a table of their own."""
    documents = [project.model_dump(mode="json", exclude=DECIDES_NOTHING) for project in projects]
    return digest([settings, documents])


@dataclass(frozen=True)
class OpenStudy:
    """A study under way.

    Attributes:
        site: workspace and tracking run of its stages.
        directory: folder of its table.
        tracker: tracker of that run.
    """

    site: Site
    directory: Storage
    tracker: Tracker

    def write(self, table: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Write the table as `table.json`, and its other forms by name."""
        self.directory.write_json(TABLE_FILE, table)
        for name, content in files.items():
            self.directory.write(name, content)


@contextmanager
def open_study(
    command: str, preset: str, settings: Mapping[str, Any], projects: Sequence[Project]
) -> Iterator[OpenStudy]:
    """Hold a study's workspace and tracking run for the block, with Ray for the stages that need it.

    Args:
        command: the command after `agssp`; its last word begins the name of the folder.
        preset: name of the preset.
        settings: what decides the table beside the projects, JSON-able.
        projects: project of each data set; the first names the workspace.

    Raises:
        UserError: workspace or tracking server at fault, see `workspace_faults`.
    """
    project = projects[0]
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    directory = workspace.at("study", f"{command.split()[-1]}-{table_key(settings, projects)[:16]}")
    tags = {"agssp.project": project.name, "agssp.command": command, "agssp.preset": preset}
    with (
        workspace_faults(workspace),
        ray_session(project.ray),
        tracker.pipeline(f"{project.name}: {command}", tags) as run,
    ):
        yield OpenStudy(Site(workspace, run), directory, tracker)


@dataclass(frozen=True)
class Refused:
    """Why a training can't be run."""

    reason: str


def unless_refused(title: str, train: Callable[[], T]) -> T | Refused:
    """Announce a training and run it; one that its settings or data don't allow is said and left out.

    Args:
        title: what is announced.
        train: runs it.

    Raises:
        UserError: the disk is full, so that the next one fails too.
    """
    say(title)
    try:
        return train()
    except UserError as error:
        if no_space(error):
            raise
        say(f"{title}: not run: {error}")
        return Refused(str(error))


def track_table(study: OpenStudy, table: Mapping[str, Any], files: Iterable[str]) -> None:
    """Keep a finished table and its files in the tracking run, where a stage has made one.

    Args:
        study: the study.
        table: the table, JSON-able.
        files: names in its folder.
    """
    run = study.site.run.run
    if run is None:
        return
    run.log_json(table, TABLE_FILE)
    for name in files:
        with study.directory.local_copy(name) as path:
            run.log_file(Path(path))


def track_cell(
    tracker: Tracker, parent: Run, title: str, params: Mapping[str, Any], figures: Mapping[str, float]
) -> None:
    """Record a cell whose stages were all there, so that the study's run has all of its cells.

    Args:
        tracker: the tracker of the study's run.
        parent: the study's run.
        title: name of the cell's run.
        params: what the cell is.
        figures: what came out.
    """
    run = tracker.create_run(title, {"mlflow.parentRunId": parent.id, "agssp.stage": "cell"})
    with ending(lambda: run):
        run.log_params(params)
        run.log_metrics(figures)
