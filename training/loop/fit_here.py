"""The loop in the calling process, without Ray: for small trainings, shorter than the start of workers."""

import time
from collections.abc import Callable
from typing import Literal

import torch

from cluster.errors import UserError
from cluster.on_ray import record, record_standing
from cluster.progress import Bar, progress, say
from cluster.storage import Storage, no_space
from cluster.tracking import Run
from pipelines.device import best_device
from pipelines.images import ImageError
from training.loop.checkpoints import Checkpoints
from training.loop.fit_result import FitResult, note, told
from training.loop.loop import train
from training.loop.precision_advice import say_precision
from training.loop.reports import EpochReport, NonFiniteLoss, StepReport
from training.loop.section import LoopSettings
from training.loop.state import HistoryRow
from training.loop.task import PlanT, Task


def fit_here(
    build: Callable[[PlanT], Task],
    plan: PlanT,
    settings: LoopSettings,
    *,
    checkpoints: Checkpoints,
    directory: Storage,
    gpu: Literal["auto"] | bool,
    retries: int,
    run: Run,
    title: str,
) -> FitResult:
    """Train in this process; the next call resumes one that was killed.

    Args:
        build, plan, settings, directory, run, title: see `training.loop.fit.fit`.
        checkpoints: this training's checkpoints.
        gpu: whether to train on the GPU; `auto` when there is one.
        retries: failures to read or write that are survived, each by resuming from the last checkpoint, as a
            share or a store may be away for a moment; −1 for any number.

    Raises:
        UserError: raised by the task or the loop; or there is no GPU and one was asked for.
        OSError: a full disk, or more failures than `retries`; of an image an ImageError.
        NonFiniteLoss: see `training.loop.fit.fit`.
    """
    start = time.monotonic()
    if gpu is True and not torch.cuda.is_available():
        raise UserError("scaling.gpu=true needs a GPU, and this machine has none; use scaling.gpu=false.")
    device = torch.device(best_device() if gpu else "cpu")
    logged: set[int] = set()
    failures = 0

    def log(row: HistoryRow) -> None:
        step = int(row["epoch"])
        if step not in logged:  # what was done again after a failure
            run.log_metrics(row, step=step)
        logged.add(step)

    while True:
        latest = checkpoints.latest()
        resume = checkpoints.read(latest) if latest is not None else None
        if resume is not None and not logged:
            run.log_history(resume["progress"]["history"])
            logged.update(int(row["epoch"]) for row in resume["progress"]["history"])
        begun = 0 if resume is None else int(resume["progress"]["epoch"])
        try:
            with progress(title, settings.epochs) as bar:

                def on_epoch(report: EpochReport, bar: Bar = bar, begun: int = begun) -> None:
                    if report.state is not None:
                        checkpoints.save(report.epoch, report.state)
                    bar.to(report.epoch, note(report.row))
                    record_standing(bar.standing())
                    for figure, value in report.row.items():
                        record("agssp_training", value, step=title, figure=figure)
                    if report.epoch <= begun + 1:
                        left_s = report.row.get("seconds", 0.0) * (settings.epochs - report.epoch)
                        say_precision(settings.precision, device=device, title=title, left_s=left_s)
                    log(report.row)

                def on_step(report: StepReport, bar: Bar = bar) -> None:
                    bar.to(bar.done, report.text())

                train(build(plan), settings, device=device, on_epoch=on_epoch, on_step=on_step, resume=resume)
            break
        except NonFiniteLoss as error:
            raise told(error, directory) from None
        except (OSError, ImageError) as error:
            failures += 1
            if no_space(error) or 0 <= retries < failures:
                raise
            say(f"{title}: {error}; going on from the last checkpoint")
    last = checkpoints.latest()
    assert last is not None  # the last epoch's is always due
    return FitResult.of(checkpoints.read(last), start)
