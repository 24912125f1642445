"""The loop on Ray Train: workers, checkpoints, retries, and metrics back to the command."""

import logging
import os
import pickle
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa
import ray
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from cluster.board import board
from cluster.errors import UserError
from cluster.session import start_ray
from cluster.storage import Storage
from cluster.tracking import Run
from training.loop import EpochReport, LoopSettings, NonFiniteLoss, Row, State, train, weights_of
from training.scaling import ScalingSection, worker_resources
from training.task import Task
from training.weights import StateDict

STATE_FILE = "state.pt"
# The controller hands reports on at this interval, and a worker waits for it: 2 s would outlast small epochs.
QUICK = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2"}
# One process less to start; a machine of one's own isn't pre-empted.
SINGLE_NODE = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}

Builder = Callable[[dict[str, Any]], Task]


@dataclass(frozen=True)
class FitResult:
    """What a training on Ray leaves.

    Attributes:
        state_dict, history: see `training.loop.Trained`.
        task_state: what `Task.state` gave at the end, e.g. λ.
        seconds: wall time, start of workers included.
    """

    state_dict: StateDict
    history: list[Row]
    task_state: dict[str, Any]
    seconds: float

    def table(self) -> pa.Table:
        """The history as columns; a value that an epoch has not is null."""
        names = list(dict.fromkeys(name for row in self.history for name in row))
        return pa.table({name: [row.get(name) for row in self.history] for name in names})


def fit(
    builder: Builder,
    payload: dict[str, Any],
    settings: LoopSettings,
    *,
    name: str,
    directory: Storage,
    scaling: ScalingSection,
    run: Run,
    title: str,
) -> FitResult:
    """Train on Ray Train workers; what a killed call left half-done under the same name is resumed.

    Args:
        builder: an importable function that makes the task from `payload`, on each worker.
        payload: picklable; what the task reads it reads on the worker.
        settings: of the loop.
        name: of this training; checkpoints lie in `directory`/`name`.
        directory: storage that every worker reaches.
        scaling: how many workers, and with what.
        run: gets each epoch's row as metrics, with the epoch as the step.
        title: shown beside the progress bar.

    Raises:
        UserError: raised by the task or the loop on a worker; or the cluster is too small.
        NonFiniteLoss: see `training.loop.train`.
        RuntimeError: workers failed more than `max_failures` times; the cause's message.
    """
    start_ray()
    start = time.monotonic()
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [node["Resources"] for node in known if node["Alive"]]
    resources = worker_resources(scaling, nodes)
    environment = QUICK | (SINGLE_NODE if len(nodes) == 1 else {})
    with board(title, settings.epochs, lambda step, row: run.log_metrics(row, step=step)) as desk:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={
                "builder": builder,
                "payload": payload,
                "settings": settings,
                "board": desk,
                "threads": max(1, int(resources["CPU"])),
            },
            scaling_config=ScalingConfig(
                num_workers=scaling.workers, use_gpu="GPU" in resources, resources_per_worker=resources
            ),
            run_config=RunConfig(
                name=name,
                storage_path=directory.path,
                storage_filesystem=directory.filesystem,
                failure_config=FailureConfig(max_failures=scaling.max_failures),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
            ),
        )
        try:
            with _quiet(environment):
                result = trainer.fit()
        except ray.train.TrainingFailedError as error:
            _raise_failure(desk)
            raise RuntimeError(f"{title}: {_cause(error)}") from error
        _raise_failure(desk)
    checkpoint = result.checkpoint
    if checkpoint is None:
        raise RuntimeError(f"{title}: the workers ended without a checkpoint")
    state = _read(checkpoint)
    history = state["progress"]["history"]
    return FitResult(weights_of(state), history, state["task"], time.monotonic() - start)


def _worker(config: dict[str, Any]) -> None:
    """What each worker runs; an error that no retry can mend goes to the board instead of to Ray."""
    desk, context = config["board"], ray.train.get_context()
    if ray.get(desk.failure.remote()) is not None:
        return  # a retry after such an error
    try:
        _train(config, context.get_world_rank(), context.get_world_size())
    except (UserError, NonFiniteLoss) as error:
        ray.get(desk.fail.remote(pickle.dumps(error)))
        if context.get_world_size() > 1:
            raise  # only Ray can end the other ranks, which wait for this one


def _train(config: dict[str, Any], rank: int, world: int) -> None:
    torch.set_num_threads(config["threads"])
    cv2.setNumThreads(config["threads"])
    desk, settings = config["board"], config["settings"]
    last = ray.train.get_checkpoint()
    resume = _read(last) if last is not None else None
    task = config["builder"](config["payload"])

    def on_epoch(report: EpochReport) -> None:
        if rank == 0:
            ray.get(desk.post.remote(report.epoch, report.row, _note(report.row)))
        if not report.due:
            return
        metrics = {"epoch": report.epoch}
        if report.state is None:  # not rank 0
            ray.train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            torch.save(report.state, Path(folder) / STATE_FILE)
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))

    if resume is not None and rank == 0:
        for row in resume["progress"]["history"]:  # a new tracking run gets the whole curve
            ray.get(desk.post.remote(int(row["epoch"]), row, _note(row)))
    train(
        task,
        settings,
        device=ray.train.torch.get_device(),
        on_epoch=on_epoch,
        rank=rank,
        world=world,
        wrap=lambda model: ray.train.torch.prepare_model(model, move_to_device=False),
        resume=resume,
    )


def _read(checkpoint: Checkpoint) -> State:
    with checkpoint.as_directory() as folder:
        state: State = torch.load(Path(folder) / STATE_FILE, map_location="cpu", weights_only=True)
    return state


def _note(row: Row) -> str:
    return f"loss {row['loss']:.4f}" if "loss" in row else ""


def _raise_failure(desk: Any) -> None:
    """Raise the exception that a worker left on the board."""
    pickled = ray.get(desk.failure.remote())
    if pickled is not None:
        raise pickle.loads(pickled)  # from our own worker


def _cause(error: ray.train.TrainingFailedError) -> str:
    failures = error.worker_failures if isinstance(error, ray.train.WorkerGroupError) else {}
    if not failures:
        return str(error)
    rank = min(failures)
    lines = str(failures[rank]).strip().splitlines()
    return f"worker {rank} failed: {lines[-1] if lines else type(failures[rank]).__name__}"


@contextmanager
def _quiet(environment: dict[str, str]) -> Iterator[None]:
    """Ray Train's settings for the block, errors alone of its log, and our SIGINT handler back after it."""
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
