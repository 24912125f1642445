"""Training searches on Ray Tune: each trial is a function that starts Ray Train; only as many run as fit."""

import math
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray import tune
from ray.tune import Callback, FailureConfig, RunConfig, TuneConfig
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher

from cluster.errors import UserError
from cluster.progress import progress, say
from cluster.tracking import Run
from training.loop import ScalingSection
from tuning.search.ledger import Ledger, Proposals, TrialRecord
from tuning.search.schedule import Schedule, Watch
from tuning.search.trial import TrialPlan, run_trial

# Ray Tune's name. A process whose trial has ended takes the next one if the first one's thread ends in so
# many seconds, else that next trial fails; two are few on a machine that computes.
THREAD_SECONDS = ("TUNE_FUNCTION_THREAD_TIMEOUT_S", "60")
# A trial's own process does nothing but wait for its workers. Ray refuses 0, and a whole CPU would be kept
# from them: on two CPUs no trial would ever start.
TRIAL_CPU = 0.01
OBJECTIVE, EPOCH = "objective", "epoch"


@dataclass(frozen=True)
class Share:
    """The part of the cluster that each concurrent trial gets; all fit, and none waits for another's CPUs.

    Attributes:
        concurrent: trials at a time.
        scaling: scaling of each trial, with CPUs and GPUs of its workers fixed.
        gpus: GPUs of one trial.
    """

    concurrent: int
    scaling: ScalingSection
    gpus: float

    @property
    def process(self) -> dict[str, float]:
        """Resources of a trial's own process: next to nothing beside workers, the whole share without any."""
        if self.scaling.workers or self.scaling.cpus_per_worker is None:
            return {"cpu": TRIAL_CPU}
        return {"cpu": self.scaling.cpus_per_worker, "gpu": self.gpus}


def share_of(scaling: ScalingSection, cpus: float, gpus: float, *, asked: int | None, trials: int) -> Share:
    """Split a cluster among concurrent trials.

    Two trials that each hold some CPUs and wait for the other's would hang for ever, so each trial gets a
    fixed share beforehand. With `workers=auto` a worker of Ray Train trains, not the trial's own process,
    which would hold its CPUs while the trial's data jobs wait for some.

    Args:
        scaling: the project's scaling.
        cpus, gpus: CPUs and GPUs of the cluster.
        asked: trials at a time; None takes as many as there are whole CPUs (or GPUs) for.
        trials: number of trials to run.

    Raises:
        UserError: no trial fits, or fewer than asked.
    """
    workers = scaling.processes
    use_gpu = bool(gpus) if scaling.gpu == "auto" else scaling.gpu
    each_gpu = workers * scaling.gpus_per_worker if use_gpu else 0.0
    least = workers * (scaling.cpus_per_worker or 1.0)
    by_cpu = math.floor(cpus / least + 1e-9) if asked is None else asked
    room = min(by_cpu, math.floor(gpus / each_gpu + 1e-9)) if use_gpu else by_cpu
    concurrent = min(max(room, 1), trials)
    if use_gpu and each_gpu * concurrent > gpus + 1e-9:
        raise UserError(
            f"{concurrent} trials at a time with {each_gpu:g} GPUs each need more than the cluster's "
            f"{gpus:g}; lower --concurrent, scaling.workers or scaling.gpus_per_worker."
        )
    free = cpus - concurrent * TRIAL_CPU
    per_worker = scaling.cpus_per_worker or math.floor(10 * free / (concurrent * workers)) / 10
    if per_worker <= 0 or per_worker * workers * concurrent > free + 1e-9:
        raise UserError(
            f"{concurrent} trials at a time with {workers} workers each don't fit on {cpus:g} CPUs; lower "
            f"--concurrent, scaling.workers or scaling.cpus_per_worker (0.4 is allowed)."
        )
    if per_worker > 1:
        per_worker = float(math.floor(per_worker))
    count = workers if scaling.workers == "auto" else scaling.workers
    fixed = scaling.model_copy(update={"workers": count, "cpus_per_worker": per_worker, "gpu": use_gpu})
    return Share(concurrent, fixed, each_gpu)


class LedgerSearch(Searcher):
    """Ray Tune's view of the proposals; a trial that is over in the ledger is never proposed again.

    Args:
        proposals: proposals of the search.
        spent: function that says which budget is reached, if any; called before each new trial.
    """

    def __init__(self, proposals: Proposals, spent: Callable[[], str | None]) -> None:
        super().__init__(metric=OBJECTIVE, mode="max")
        self.proposals, self.spent = proposals, spent
        self.over: str | None = None

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config, or `FINISHED` where none is left."""
        if self.over is None:
            self.over = self.spent()
        if self.over is not None:
            return Searcher.FINISHED
        record = self.proposals.next()
        return Searcher.FINISHED if record is None else {"number": record.number}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: `LedgerCallback` learns from the record itself."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger is the search's memory."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave Tune's own records empty: the ledger is the search's memory."""
        return {}

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, see `save`."""


class LedgerCallback(Callback):
    """Notes how a trial ended where the trial itself could not, and ends its MLflow run.

    Args:
        ledger, proposals: records and proposals of the search.
        tracking_uri: server of the trials' runs.
        advance: function called for every trial that is over.
    """

    def __init__(
        self, ledger: Ledger, proposals: Proposals, tracking_uri: str, advance: Callable[[TrialRecord], None]
    ) -> None:
        self.ledger, self.proposals = ledger, proposals
        self.tracking_uri, self.advance = tracking_uri, advance

    def __getstate__(self) -> dict[str, Any]:
        """Leave Tune's own records empty: a search doesn't go on from them."""
        return {}

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial ended by itself, or the scheduler stopped it."""
        record = self.ledger.read(trial.config["number"])
        if record.status == "running":
            last = trial.last_result or {}
            record = replace(
                record,
                status="stopped",
                value=last.get(OBJECTIVE),
                epochs=int(last.get(EPOCH, 0)),
                seconds=round(float(last.get("time_total_s", 0.0)), 3),
            )
            self._close(record, "KILLED")
        self._over(record)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A trial failed too often."""
        record = self.ledger.read(trial.config["number"])
        if record.status == "running":
            text = str(trial.get_error() or "it failed").strip().splitlines()[-1]
            seconds = float((trial.last_result or {}).get("time_total_s", 0.0))
            record = replace(record, status="failed", reason=text, seconds=round(seconds, 3))
            self._close(record, "FAILED")
        self._over(record)

    def _close(self, record: TrialRecord, status: str) -> None:
        self.ledger.write(record)
        if record.run_id is not None:
            Run(self.tracking_uri, record.run_id).end_tree(status)

    def _over(self, record: TrialRecord) -> None:
        self.proposals.ended(record)
        self.advance(record)


def trainable(config: dict[str, Any], plan: TrialPlan) -> None:
    """Run one trial; Ray Tune calls this in a process of its own, where one trial may follow another."""
    os.environ.setdefault(*THREAD_SECONDS)

    def report(value: float, epoch: int) -> None:
        tune.report({OBJECTIVE: value, EPOCH: epoch})

    record = run_trial(plan, config["number"], report)
    if record.value is not None:
        report(record.value, record.epochs)


def run_trials(
    plan: TrialPlan,
    proposals: Proposals,
    *,
    share: Share,
    schedule: Schedule,
    watch: Watch,
    tracking_uri: str,
) -> str | None:
    """Run all trials that are left; Ray is started already.

    Args:
        plan, proposals: what the trials share, and the proposals of the search.
        share: resources of each trial, from `share_of`.
        schedule: rules for early stops and attempts.
        watch: name of the search, and its callbacks.
        tracking_uri: server of the trials' runs.

    Returns:
        The budget that ended it, None when all trials were run.
    """
    left = proposals.left
    if not left:
        return None
    # Ray Tune would print tables; our line for each trial says the same.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    handler = signal.getsignal(signal.SIGINT)
    search = LedgerSearch(proposals, watch.spent)
    rungs = (
        ASHAScheduler(
            time_attr=EPOCH,
            max_t=schedule.max_epochs + 1,
            grace_period=schedule.grace_epochs,
            reduction_factor=3,
        )
        if schedule.scheduler == "asha"
        else FIFOScheduler()  # type: ignore[no-untyped-call]
    )
    with progress(f"{watch.name}: trials", left) as bar:

        def advance(record: TrialRecord) -> None:
            note = f"trial {record.number} {record.status}"
            bar.advance(note=note if record.value is None else f"{note}, {plan.metric} {record.value:.4f}")
            reason = f": {record.reason}" if record.reason else ""
            say(f"{watch.name}: {bar.text}{reason}")
            watch.on_over(record)

        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, plan=plan), share.process),
            tune_config=TuneConfig(
                metric=OBJECTIVE,
                mode="max",
                search_alg=search,
                scheduler=rungs,
                num_samples=left,
                max_concurrent_trials=share.concurrent,
                # The imports of a trial take longer than a short training. One that is stopped amid its
                # training does not end at once, and its process takes no other.
                reuse_actors=schedule.scheduler == "none",
            ),
            run_config=RunConfig(
                name="ray",
                storage_path=plan.directory.path,
                storage_filesystem=plan.directory.filesystem,
                failure_config=FailureConfig(max_failures=schedule.max_failures),
                callbacks=[LedgerCallback(proposals.ledger, proposals, tracking_uri, advance)],
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        finally:
            signal.signal(signal.SIGINT, handler)
            plan.directory.delete("ray")  # Tune's own records; the ledger is ours
    return search.over


def cluster_size() -> tuple[float, float]:
    """CPUs and GPUs of the running cluster."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return resources.get("CPU", 0.0), resources.get("GPU", 0.0)
