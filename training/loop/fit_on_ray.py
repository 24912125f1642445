"""The loop on Ray Train: workers, checkpoints, retries, and metrics back to the command."""

import logging
import os
import pickle
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

import cv2
import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from ray.train import RunConfig, ScalingConfig
from ray.train.v2.api.config import FailureConfig  # what ray.train.FailureConfig is, with its types

from cluster.errors import UserError
from cluster.on_ray import Trainer, local_session, start_ray
from cluster.on_ray.board import board
from cluster.progress import say
from cluster.storage import Storage, no_space
from cluster.tracking import Run
from training.loop.checkpoints import Checkpoints
from training.loop.fit_result import FitResult, note, told
from training.loop.loop import train
from training.loop.reports import EpochReport, NonFiniteLoss, Notice, StepReport
from training.loop.scaling import worker_resources
from training.loop.section import LoopSettings, ScalingSection
from training.loop.task import PlanT, Task

# Seconds between the controller's looks at the workers: how late it sees that they died or are done.
QUICK = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1"}
# Saves starting a process; a machine of one's own isn't pre-empted.
SINGLE_NODE = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}


@dataclass(frozen=True)
class _Job(Generic[PlanT]):
    """What every worker of one training gets; pickled.

    Attributes:
        build, plan, settings: see `training.loop.fit.fit`.
        desk: actor of the board that metrics and errors go to.
        checkpoints: this training's checkpoints.
        threads: number of threads of one worker.
        watched: whether the worker looks for a notice that its node will be taken away.
    """

    build: Callable[[PlanT], Task]
    plan: PlanT
    settings: LoopSettings
    desk: Any
    checkpoints: Checkpoints
    threads: int
    watched: bool


def fit_on_ray(
    build: Callable[[PlanT], Task],
    plan: PlanT,
    settings: LoopSettings,
    *,
    checkpoints: Checkpoints,
    directory: Storage,
    scaling: ScalingSection,
    run: Run,
    title: str,
) -> FitResult:
    """Train on Ray Train's workers; the next call resumes one that was killed.

    Args:
        build, plan, settings, directory, scaling, run, title: see `training.loop.fit.fit`.
        checkpoints: this training's checkpoints.

    Raises:
        UserError: raised by the task or the loop on a worker; or the cluster is too small.
        OSError: a disk that a worker writes to is full.
        NonFiniteLoss: see `training.loop.fit.fit`.
        RuntimeError: more failures than `scaling` allows; the cause's message.
    """
    start = time.monotonic()
    start_ray()
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node["Resources"] for node in known if node["Alive"]]
    resources = worker_resources(scaling, nodes)
    environment = QUICK | (SINGLE_NODE if len(nodes) == 1 else {})
    lost = 0
    with board(title, settings.epochs, lambda step, row: run.log_metrics(row, step=step)) as desk:
        job = _Job(
            build,
            plan,
            settings,
            desk=desk,
            checkpoints=checkpoints,
            threads=max(1, int(resources["CPU"])),
            watched=len(nodes) > 1,
        )
        while True:
            trainer = Trainer(
                partial(_work, job),  # Ray's own config for workers would be a dict
                scaling_config=ScalingConfig(
                    num_workers=scaling.processes, use_gpu="GPU" in resources, resources_per_worker=resources
                ),
                run_config=RunConfig(
                    name=f"ray-{uuid.uuid4().hex[:12]}",  # Ray would resume a name that was used before
                    storage_path=checkpoints.directory.path,
                    storage_filesystem=directory.filesystem,
                    failure_config=FailureConfig(
                        max_failures=scaling.max_failures,
                        max_preemption_failures=scaling.max_preemptions,
                        controller_failure_limit=scaling.max_controller_failures,
                    ),
                ),
                desk=desk,
                grows=not local_session(),
            )
            try:
                with _quiet(environment):
                    trainer.fit()
                break
            except ray.exceptions.RayActorError as error:  # Ray restarts workers, not their controller
                lost += 1
                if 0 <= scaling.max_controller_failures < lost:
                    raise RuntimeError(
                        f"{title}: Ray Train's controller was lost {lost} times, more than "
                        "scaling.max_controller_failures allows"
                    ) from error
                say(f"{title}: Ray Train's controller was lost; going on from the last checkpoint")
            except ray.train.TrainingFailedError as error:
                _raise_failure(desk, directory)
                raise RuntimeError(f"{title}: {_cause(error)}") from error
        _raise_failure(desk, directory)
    latest = checkpoints.latest()
    if latest is None:
        raise RuntimeError(f"{title}: the workers ended without a checkpoint")
    return FitResult.of(checkpoints.read(latest), start)


def _work(job: _Job[PlanT]) -> None:
    """What each worker runs; an error that no retry can mend goes to the board instead of to Ray."""
    context = ray.train.get_context()
    try:
        _train(job, context.get_world_rank(), context.get_world_size())
    except Exception as error:
        if not (isinstance(error, UserError | NonFiniteLoss) or no_space(error)):
            raise
        ray.get(job.desk.fail.remote(pickle.dumps(error)))
        if context.get_world_size() > 1:
            raise  # only Ray can end the other ranks, which wait for this one


def _train(job: _Job[PlanT], rank: int, world: int) -> None:
    torch.set_num_threads(job.threads)
    cv2.setNumThreads(job.threads)
    desk, checkpoints = job.desk, job.checkpoints
    # Rank 0 decides, lest a lost worker's last write make the others go on from another epoch.
    shared = [checkpoints.latest() if rank == 0 else None]
    if world > 1:
        dist.broadcast_object_list(shared, src=0, device=ray.train.torch.get_device())
    resume = checkpoints.read(shared[0]) if shared[0] is not None else None
    task = job.build(job.plan)

    def on_epoch(report: EpochReport) -> None:
        if report.state is not None:  # rank 0
            checkpoints.save(report.epoch, report.state)
        if rank == 0:
            ray.get(desk.post.remote(report.epoch, report.row, note(report.row)))

    def on_step(report: StepReport) -> None:
        if rank == 0:
            desk.tell.remote(report.text())

    if resume is not None and rank == 0:
        for row in resume["progress"]["history"]:  # a new tracking run gets the whole curve
            ray.get(desk.post.remote(int(row["epoch"]), row, note(row)))
    train(
        task,
        job.settings,
        device=ray.train.torch.get_device(),
        on_epoch=on_epoch,
        rank=rank,
        world=world,
        wrap=lambda model: ray.train.torch.prepare_model(model, move_to_device=False),
        resume=resume,
        on_step=on_step,
        notice=Notice(lambda: ray.train.get_preemption_info() is not None, checkpoints.save)
        if job.watched
        else None,
    )


def _raise_failure(desk: Any, directory: Storage) -> None:
    """Raise the exception that a worker left on the board; save its images first."""
    pickled = ray.get(desk.failure.remote())
    if pickled is None:
        return
    error = pickle.loads(pickled)  # from our own worker
    if isinstance(error, NonFiniteLoss):
        raise told(error, directory)
    raise error


def _cause(error: ray.train.TrainingFailedError) -> str:
    failures = error.worker_failures if isinstance(error, ray.train.WorkerGroupError) else {}
    if not failures:
        return str(error)
    rank = min(failures)
    lines = str(failures[rank]).strip().splitlines()
    return f"worker {rank} failed: {lines[-1] if lines else type(failures[rank]).__name__}"


@contextmanager
def _quiet(environment: dict[str, str]) -> Iterator[None]:
    """Give Ray Train these settings and a quiet log for the block, then restore our SIGINT handler."""
    before = {key: os.environ.get(key) for key in environment}
    logger = logging.getLogger("ray.train")
    level = logger.level
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    os.environ.update({key: value for key, value in environment.items() if before[key] is None})
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        if main:
            signal.signal(signal.SIGINT, handler)
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
