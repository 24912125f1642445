"""A training, here or on Ray Train: both take the same steps and leave the same checkpoints."""

import time
from collections.abc import Callable

import torch

from cluster.on_ray import own_machine
from cluster.progress import say
from cluster.storage import Storage
from cluster.tracking import Run
from training.loop.checkpoints import Checkpoints
from training.loop.fit_here import fit_here
from training.loop.fit_result import FitResult
from training.loop.section import LoopSettings, ScalingSection
from training.loop.state import finished
from training.loop.task import PlanT, Task


def fit(
    build: Callable[[PlanT], Task],
    plan: PlanT,
    settings: LoopSettings,
    *,
    name: str,
    directory: Storage,
    scaling: ScalingSection,
    run: Run,
    title: str,
) -> FitResult:
    """Train where `trains_here` says; resumes what a killed call left half-done under the same name.

    Args:
        build: an importable function that makes the task from `plan`, on each worker.
        plan: picklable; the task reads its data on the worker.
        settings: the loop's settings.
        name: this training's name; its checkpoints lie in `directory`/`name`; a finished one is only read.
        directory: storage that every worker reaches.
        scaling: how many workers, and with what.
        run: the tracking run; gets each epoch's row as metrics, with the epoch as the step.
        title: shown beside the progress bar.

    Raises:
        UserError: raised by the task or the loop on a worker; or the cluster is too small.
        OSError: a disk that a worker writes to is full.
        NonFiniteLoss: see `training.loop.train`; the images are also in `directory`/`nonfinite-loss.json`.
        RuntimeError: more failures than `scaling` allows; the cause's message.
    """
    start = time.monotonic()
    checkpoints = Checkpoints(directory.at(name))
    latest = checkpoints.latest()
    if latest is not None:
        state = checkpoints.read(latest)
        if finished(state, settings.epochs):
            run.log_history(state["progress"]["history"])
            return FitResult.of(state, start)
        say(f"{title}: goes on from the checkpoint of epoch {state['progress']['epoch']}")
    if trains_here(scaling):
        return fit_here(
            build,
            plan,
            settings,
            checkpoints=checkpoints,
            directory=directory,
            gpu=scaling.gpu,
            retries=scaling.max_failures if scaling.workers == "auto" else 0,
            run=run,
            title=title,
        )
    from training.loop.fit_on_ray import fit_on_ray  # brings Ray Train, which takes seconds

    return fit_on_ray(
        build,
        plan,
        settings,
        checkpoints=checkpoints,
        directory=directory,
        scaling=scaling,
        run=run,
        title=title,
    )


def trains_here(scaling: ScalingSection) -> bool:
    """Whether this process trains, see `ScalingSection.workers`."""
    if scaling.workers != "auto":
        return scaling.workers == 0
    if scaling.cpus_per_worker is not None or not own_machine():
        return False
    return scaling.gpu is False or torch.cuda.device_count() <= 1
