"""The folder of a study's table: its key, and its files and cells in the tracking run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.stages import digest
from cluster.storage import Storage
from cluster.tracking import PipelineRun, Run, Tracker, ending
from training.project import Project

TABLE_FILE = "table.json"
DECIDES_NOTHING = {"workspace", "ray", "tracking", "scaling"}  # of a project: where and how it runs


def table_key(settings: Mapping[str, Any], projects: Sequence[Project]) -> str:
    """Digest of study and projects, so that other settings get a table of their own."""
    documents = [project.model_dump(mode="json", exclude=DECIDES_NOTHING) for project in projects]
    return digest([settings, documents])


def track_table(run: PipelineRun, directory: Storage, table: Mapping[str, Any], files: Iterable[str]) -> None:
    """Keep a finished table and its files in the tracking run, where a stage has made one.

    Args:
        run: the study's run.
        directory: the folder that holds `files`.
        table: the table, JSON-able.
        files: names.
    """
    if run.run is None:
        return
    run.run.log_json(table, TABLE_FILE)
    for name in files:
        with directory.local_copy(name) as path:
            run.run.log_file(Path(path))


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
