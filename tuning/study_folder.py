"""The folder of a study's table: its key, and its files in the tracking run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cluster.stages import digest
from cluster.storage import Storage
from cluster.tracking import PipelineRun
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
