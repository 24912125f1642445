"""MLflow tracking: one run per stage, nested under its pipeline's run, which exists only if a stage does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.storage import Storage, masked
from cluster.tracking import entries as tracking_entries
from cluster.tracking.outbox import DEFAULT_PATIENCE_S, outbox_of
from cluster.tracking.places import check_tracking_uri, is_server, sqlite_file, sqlite_uri, with_driver
from cluster.tracking.run import Run, attach, client_of, ending
from cluster.tracking.section import TrackingSection

__all__ = ["PipelineRun", "Run", "Tracker", "attach"]


class PipelineRun:
    """One command's run over its stages; MLflow hears of it at the first stage that isn't skipped.

    Args:
        tracker: the tracker that records it.
        name: the run's name in MLflow.
        tags: the tags of the pipeline's run.
    """

    def __init__(self, tracker: "Tracker", name: str, tags: Mapping[str, str]) -> None:
        self.tracker, self._name, self._tags = tracker, name, tags
        self.run: Run | None = None

    @property
    def id(self) -> str | None:
        """MLflow's run id; None while no stage has run."""
        return self.run.id if self.run else None

    @contextmanager
    def stage(self, name: str, *, config: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[Run]:
        """Open a stage's run nested under this one; it ends with the block.

        Args:
            name: the stage's name.
            config: JSON-able config; becomes the run's params.
            tags: the tags of the stage's run.

        Raises:
            UserError: the tracking database or experiment can't be used.
        """
        if self.run is None:
            self.run = self.tracker.create_run(self._name, self._tags)
        parent = {"mlflow.parentRunId": self.run.id, "agssp.stage": name}
        run = self.tracker.create_run(name, {**tags, **parent})
        with ending(lambda: run):
            run.log_params(config)
            yield run

    @contextmanager
    def trial(self, name: str, *, parent: Run, config: Mapping[str, Any]) -> Iterator[Run]:
        """Open a study's trial as a run nested under the study's; it ends with the block.

        Args:
            name: the trial's name.
            parent: the study's run.
            config: the trial's values by dotted key; becomes the run's params.

        Raises:
            UserError: see `stage`.
        """
        run = self.tracker.create_run(name, {"mlflow.parentRunId": parent.id, "agssp.stage": "trial"})
        with ending(lambda: run):
            run.log_params(config)
            yield run


@dataclass(frozen=True)
class Tracker:
    """An MLflow server or database, and the experiment that runs go to.

    Attributes:
        uri: MLflow's tracking URI, also that of its model registry.
        experiment: name of the experiment.
        artifact_root: the place where a database's runs keep files; None leaves it to the server.
        outage_s: patience with a server that is away.
    """

    uri: str
    experiment: str
    artifact_root: str | None
    outage_s: float = DEFAULT_PATIENCE_S

    @classmethod
    def open(cls, section: TrackingSection, workspace: Storage) -> "Tracker":
        """Check all that needs no MLflow, which takes seconds to import.

        Raises:
            UserError: server unreachable, unknown scheme, or a remote workspace and no URI.
        """
        artifacts = workspace.at("mlartifacts").uri
        if workspace.is_local:
            artifacts = Path(artifacts).as_uri()
        if section.uri is None:
            if not workspace.is_local:
                raise UserError(
                    f"The workspace {workspace.uri} is remote and can't hold MLflow's database; "
                    "set tracking.uri to an MLflow server."
                )
            database = Path(workspace.path) / "mlflow.db"
            return cls(sqlite_uri(database), section.experiment, artifacts)
        check_tracking_uri(section.uri, section.timeout_s)
        artifact_root = None if is_server(section.uri) else artifacts
        return cls(with_driver(section.uri), section.experiment, artifact_root, section.outage_minutes * 60)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever recorded: the SQLite file doesn't exist yet."""
        database = sqlite_file(self.uri)
        return database is not None and not database.exists()

    @contextmanager
    def pipeline(self, name: str, tags: Mapping[str, str]) -> Iterator[PipelineRun]:
        """A pipeline's run, created in MLflow at the first stage that isn't skipped.

        It ends when a server that was away has got everything, or has used up the patience: see
        `take_losses`.
        """
        pipeline = PipelineRun(self, name, tags)
        patience: float | None = 0  # tell at once what failed
        try:
            with ending(lambda: pipeline.run):
                yield pipeline
            patience = None
        finally:
            if pipeline.run is not None:
                self.deliver(patience)

    def deliver(self, patience: float | None) -> None:
        """Wait until a server that was away has got everything; a database has it already.

        Args:
            patience: seconds; None takes the tracker's own.
        """
        if is_server(self.uri):
            outbox_of(self.uri).flush(patience)

    def create_run(self, name: str, tags: Mapping[str, str]) -> Run:
        """Create a run in the experiment, which is made if absent.

        Raises:
            UserError: the database can't be opened, or the experiment was deleted or keeps files elsewhere.
        """
        from mlflow.exceptions import MlflowException

        def create() -> Run:
            mlflow_run = client_of(self.uri).create_run(
                self._experiment_id(), run_name=name, tags=tracking_entries.tags(tags)
            )
            return Run(self.uri, mlflow_run.info.run_id)

        try:
            if not is_server(self.uri):
                return create()
            box = outbox_of(self.uri)
            box.patience_s = self.outage_s
            return box.insist(create, f"start the run {name!r}")
        except MlflowException as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"MLflow can't use {self.experiment!r} at {masked(self.uri)}: {reason}"
            ) from error

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        client = client_of(self.uri)
        experiment = client.get_experiment_by_name(self.experiment)
        if experiment is None:
            try:
                return client.create_experiment(self.experiment, artifact_location=self.artifact_root)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            return self._experiment_id()  # another command was quicker
        remedy = "choose another with tracking.experiment=NAME."
        if experiment.lifecycle_stage != "active":
            raise UserError(f"MLflow's experiment {self.experiment!r} was deleted; restore it or {remedy}")
        if self.artifact_root is not None and experiment.artifact_location != self.artifact_root:
            # MLflow would go on writing files to the old place.
            raise UserError(
                f"MLflow's experiment {self.experiment!r} keeps its files in {experiment.artifact_location}, "
                f"not in this workspace (was it moved?); {remedy}"
            )
        return str(experiment.experiment_id)
