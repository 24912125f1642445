"""One MLflow run, and the client that writes into it; never MLflow's global state."""

import fcntl
import logging
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster import json_text
from cluster.errors import UserError
from cluster.tracking import entries as tracking_entries
from cluster.tracking.outbox import Write, outbox_of
from cluster.tracking.places import check_sqlite, is_server, sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric


# MLflow's own retries would hold a run up for minutes; the outbox waits instead.
SHORT_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


@lru_cache(maxsize=8)
def client_of(uri: str) -> "MlflowClient":
    """The MLflow client of a tracking URI; a virgin SQLite database gets its tables here.

    Raises:
        UserError: the SQLite file can't be opened.
    """
    from mlflow import MlflowClient

    quieten()
    if is_server(uri):
        for name, value in SHORT_PATIENCE.items():
            os.environ.setdefault(name, value)
    database = sqlite_file(uri)
    if database is None:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    # Concurrent first clients crash in MLflow's migrations: one at a time.
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_sqlite(database)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def quieten() -> None:
    """Keep MLflow's own notes off stdout, which is for results, and off the log."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):  # their notes on every migration
        logging.getLogger(name).setLevel(logging.WARNING)
    # Tracebacks of errors that are raised as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # a line for each retry


@dataclass(frozen=True)
class Run:
    """One MLflow run; picklable, so that workers can log into it.

    Attributes:
        tracking_uri: the URI of the server or database that holds it.
        id: MLflow's run id.
    """

    tracking_uri: str
    id: str

    @property
    def _client(self) -> "MlflowClient":
        return client_of(self.tracking_uri)

    def _send(self, write: Write, count: int = 1, keep: Callable[[], Write] | None = None) -> None:
        """Write now; to a server that is away, later."""
        if is_server(self.tracking_uri):
            outbox_of(self.tracking_uri).send(write, count, keep)
        else:
            write()

    def _send_metrics(self, batch: list["Metric"]) -> None:
        def write(metrics: list["Metric"]) -> None:
            self._client.log_batch(self.id, metrics=metrics)

        if is_server(self.tracking_uri):
            most = tracking_entries.METRICS_PER_BATCH
            outbox_of(self.tracking_uri).send_batch(write, batch, f"metrics of {self.id}", most)
        else:
            write(batch)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record figures; a NaN or infinite one, which charts can't show, becomes a tag `nonfinite.NAME`."""
        self._log([(name, value, step or 0) for name, value in metrics.items()])

    def log_history(self, rows: Sequence[Mapping[str, float]], step_key: str = "epoch") -> None:
        """Record a training's rows, each at the step that `step_key` gives, in few requests."""
        steps = [(int(row[step_key]), row) for row in rows]
        self._log([(name, row[name], step) for step, row in steps for name in row if name != step_key])

    def _log(self, points: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        finite = [
            Metric(tracking_entries.key(name), float(value), now, step)
            for name, value, step in points
            if math.isfinite(value)
        ]
        for batch in tracking_entries.batches(finite, tracking_entries.METRICS_PER_BATCH):
            self._send_metrics(batch)
        odd = [(name, value, step) for name, value, step in points if not math.isfinite(value)]
        # Reversed: the first step that went wrong is the one worth keeping.
        self.set_tags({f"nonfinite.{name}": f"{value} at step {step}" for name, value, step in reversed(odd)})

    def log_file(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a local file among the run's artifacts, in `folder`."""

        def log(file: Path) -> None:
            self._client.log_artifact(self.id, str(file), folder or None)

        def spooled() -> Write:  # the file may be gone when the server is back
            return partial(log, outbox_of(self.tracking_uri).spooled(path))

        self._send(partial(log, path), keep=spooled)

    def log_json(self, content: Any, name: str) -> None:
        """Keep JSON-able content as the artifact `name`; NaN becomes null."""
        text = json_text.dumps(content, indent=2) + "\n"
        self._send(partial(self._client.log_text, self.id, text, name))

    def log_picture(self, image: np.ndarray, name: str) -> None:
        """Keep a picture as the artifact `name`, whose suffix (`.png`, `.jpg`) decides the format.

        Args:
            image: uint8, (height, width, 3), RGB.
            name: the artifact's name; may hold folders.
        """
        from PIL import Image

        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a picture is uint8 (height, width, 3), not {image.dtype} {image.shape}")
        folder, _, file = name.rpartition("/")
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / file
            Image.fromarray(image).save(path)
            self.log_file(path, folder)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run; a value beyond MLflow's limit is clipped."""
        from mlflow.entities import RunTag

        entries = [RunTag(key, value) for key, value in tracking_entries.tags(tags).items()]
        for batch in tracking_entries.batches(entries):
            self._send(partial(self._client.log_batch, self.id, tags=batch), len(batch))

    def log_params(self, config: Mapping[str, Any]) -> None:
        """Record a nested config as flat params (`loop.epochs`); values beyond MLflow's limit are clipped."""
        from mlflow.entities import Param

        entries = [Param(key, value) for key, value in tracking_entries.params(config).items()]
        for batch in tracking_entries.batches(entries):
            self._send(partial(self._client.log_batch, self.id, params=batch), len(batch))

    def is_there(self) -> bool:
        """Whether its server or database has it, and not as deleted; true of a server that is away."""
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_run(self.id).info.lifecycle_stage == "active")
        except MlflowException as error:
            return error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        now = int(time.time() * 1000)
        self._send(partial(self._client.set_terminated, self.id, status, now))

    def end_tree(self, status: str) -> None:
        """Close the run and those below it that a killed process left running."""
        experiment = self._client.get_run(self.id).info.experiment_id
        below = self._client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{self.id}'")
        for run in below:
            if run.info.status == "RUNNING":
                Run(self.tracking_uri, run.info.run_id).end_tree(status)
        self.end(status)


@contextmanager
def ending(run: Callable[[], Run | None]) -> Iterator[None]:
    """End a run with the block: FINISHED, KILLED when interrupted, FAILED by any other error.

    Args:
        run: asked at the end; None when there is nothing to end.
    """
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt | SystemExit)  # Ray turns SIGTERM into SystemExit
        try:
            if (ended := run()) is not None:
                ended.end("KILLED" if interrupted else "FAILED")
        except Exception as fault:  # noqa: BLE001 - what ended the block is what must be told
            error.add_note(f"Its run could not be ended in MLflow either: {fault}")
        raise
    if (ended := run()) is not None:
        ended.end("FINISHED")


def attach(tracking_uri: str, run_id: str) -> Run:
    """The same run, in another process.

    Raises:
        UserError: the run's SQLite file isn't on this machine.
    """
    database = sqlite_file(tracking_uri)
    if database is not None and not database.is_file():
        raise UserError(
            f"{database} is not on this machine; on a cluster set tracking.uri to an MLflow server."
        )
    return Run(tracking_uri, run_id)
