"""One trial of a training search: a project's stages up to the metric, reported epoch by epoch."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cluster.config import merge, validate
from cluster.errors import UserError
from cluster.stages import Site
from cluster.storage import Storage, no_space
from cluster.tracking import PipelineRun, Run, Tracker, ending
from training.loop import NonFiniteLoss
from training.pipeline import Pipeline
from training.project import Project
from tuning.outcomes import artifact_of, at_kept_epoch, measured
from tuning.search.ledger import Ledger, Status, TrialRecord
from tuning.space import nested

Report = Callable[[float, int], None]  # best value so far, epoch


@dataclass(frozen=True)
class TrialPlan:
    """What all trials of a search share; picklable.

    Attributes:
        document: the project's config as nested mappings; a trial's values are laid over it.
        metric: outcome to maximise, see `tuning/outcomes.py`.
        parent_id: the search's MLflow run.
        directory: directory of the ledger.
        folder: where the config's relative paths start; a trial runs in a folder of Ray's.
    """

    document: dict[str, Any]
    metric: str
    parent_id: str
    directory: Storage
    folder: str

    def project(self, values: Mapping[str, Any]) -> Project:
        """The project of a trial.

        Raises:
            UserError: the values don't go together.
        """
        return validate(Project, merge(self.document, nested(values)), "The trial", self.folder)


@dataclass(frozen=True)
class ReportedRun(Run):
    """A stage's run that passes its metrics on to the search."""

    heard: Callable[[Mapping[str, float], int], None]

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log as `Run.log_metrics`, then tell the search."""
        super().log_metrics(metrics, step)
        if step is not None:
            self.heard(metrics, step)


class TrialRun(PipelineRun):
    """The runs of a trial's stages, nested under the trial's own.

    Args:
        tracker: tracker that records the runs.
        run: the trial's own run.
        stage: stage whose epochs the search hears of.
        heard: function called with the stage's metrics and epoch.
    """

    def __init__(
        self, tracker: Tracker, run: Run, stage: str, heard: Callable[[Mapping[str, float], int], None]
    ) -> None:
        super().__init__(tracker, "trial", {})
        self.run, self._stage, self._heard = run, stage, heard

    @contextmanager
    def stage(self, name: str, *, config: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[Run]:
        """See `PipelineRun.stage`."""
        with super().stage(name, config=config, tags=tags) as run:
            yield run if name != self._stage else ReportedRun(run.tracking_uri, run.id, self._heard)


def run_trial(plan: TrialPlan, number: int, report: Report) -> TrialRecord:
    """Run a trial to its end and note it; an interrupted trial goes on from its stages' checkpoints.

    Args:
        plan: what the search's trials share.
        number: number of the trial in the ledger.
        report: function called after each epoch that has the metric.

    Returns:
        The noted record: finished; invalid where the values make no config or no figure; failed where a stage
        refuses what it finds, which may be mended before the search goes on.
    """
    ledger, began = Ledger(plan.directory), time.monotonic()
    record = ledger.read(number)
    try:
        project = plan.project(record.values)
    except UserError as error:
        return _noted(ledger, replace(record, status="invalid", reason=str(error)))
    try:
        workspace = Storage.open(project.workspace)
        tracker = Tracker.open(project.tracking, workspace)
    except UserError as error:
        return _noted(ledger, replace(record, status="failed", reason=str(error)))
    parent = {"mlflow.parentRunId": plan.parent_id, "agssp.stage": "trial", "agssp.trial": str(number)}
    run = tracker.create_run(f"trial {number}", parent)
    record = replace(record, run_id=run.id)
    ledger.write(record)
    stage, _, figure = plan.metric.partition(".")
    rows: list[dict[str, float]] = []
    best_metric = getattr(project, stage).loop.best_metric
    last = [0]
    status: Status
    reason: str | None

    def heard(metrics: Mapping[str, float], epoch: int) -> None:
        last[0] = max(last[0], epoch)
        if figure in metrics and epoch > 0:
            if rows and epoch <= rows[-1]["epoch"]:  # the next round of a self-training
                rows.clear()
            rows.append({**metrics, "epoch": epoch})
            value = at_kept_epoch(rows, figure, best_metric)
            if value is not None and math.isfinite(value):
                report(value, epoch)

    try:
        with ending(lambda: run):
            run.log_params(record.values)
            try:
                pipeline = Pipeline(project, Site(workspace, TrialRun(tracker, run, stage, heard)))
                value = measured(plan.metric, pipeline, project.finetune.starts[0])
            except NonFiniteLoss as error:
                status, value, reason = "invalid", None, str(error)
            except UserError as error:  # no retry can mend it at once, so none is asked for
                if no_space(error):  # the next trial has none either
                    raise
                status, value, reason = "failed", None, str(error)
            else:
                status, reason = "finished", None
                made = artifact_of(plan.metric, pipeline, project.finetune.starts[0])
                last[0] = int(made.results.get("epochs", last[0]))  # of one found complete none was heard
                if value is None or not math.isfinite(value):
                    told = "nothing to measure it on" if value is None else f"it is {value}"
                    status, value = "invalid", None
                    reason = f"its {stage} stage gave no {figure}: {told}"
            if value is not None:
                run.log_metrics({plan.metric: value})
            seconds = round(time.monotonic() - began, 3)
            ended = replace(record, status=status, value=value, seconds=seconds, reason=reason)
            noted = _noted(ledger, replace(ended, epochs=last[0]))
        if noted.status != "finished":
            run.end("FAILED")
        return noted
    finally:
        tracker.deliver(None)  # this process may end with the trial


def _noted(ledger: Ledger, record: TrialRecord) -> TrialRecord:
    ledger.write(record)
    return record
