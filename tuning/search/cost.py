"""What a search will cost, before it starts: a training step is timed, and multiplied."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipelines.device import best_device
from training.models.backbones import build
from training.project import Project
from training.starts import fresh_detector
from tuning.pace import round_times
from tuning.space import Dimension

PROBE_IMAGES = 4
START_SECONDS = 20.0  # that a trial's workers take to start
REPEATS = 2


@dataclass(frozen=True)
class Cost:
    """What the rest of a search is estimated to cost.

    Attributes:
        trials: trials still to run.
        trial_seconds: seconds of a trial of mean length, without evaluation and shared stages.
        concurrent: trials at a time.
        gpus: GPUs of one trial.
    """

    trials: int
    trial_seconds: float
    concurrent: int
    gpus: float

    @property
    def hours(self) -> float:
        """Wall time in hours."""
        return self.trials * self.trial_seconds / self.concurrent / 3600

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all trials together."""
        return self.trials * self.trial_seconds * self.gpus / 3600

    def text(self) -> str:
        """The estimate in one sentence."""
        gpus = f", {self.gpu_hours:.2g} GPU-hours" if self.gpus else ""
        wall = f"{self.hours * 60:.0f} minutes" if self.hours < 2 else f"{self.hours:.1f} hours"
        return (
            f"about {wall}{gpus}: {self.trials} trials of about {self.trial_seconds:.0f} s, "
            f"{self.concurrent} at a time, by one timed training step; evaluation and shared stages come on "
            "top, early stopping takes off"
        )


def step_seconds(project: Project, stage: str) -> float:
    """Seconds that a training step of the stage's model takes for each image on this machine's device."""
    device = torch.device(best_device())
    section = getattr(project, stage)
    preprocessing = project.finetune.preprocessing
    height, width = (section.image_size,) * 2 if stage == "backbone" else preprocessing.shape
    images = torch.rand(PROBE_IMAGES, 3, height, width, device=device)
    if stage == "backbone":
        backbone = build(section.name).to(device).train()

        def step() -> None:
            torch.autograd.backward(sum(layer.square().mean() for layer in backbone(images)))

    else:
        detector = fresh_detector(section.name, ("anomaly",), preprocessing, 0).to(device).train()
        box = torch.tensor([[width / 4, height / 4, width / 2, height / 2]], device=device)
        targets = {
            "image": torch.zeros(1, dtype=torch.int64, device=device),
            "labels": torch.zeros(1, dtype=torch.int64, device=device),
            "boxes": box,
        }

        def step() -> None:
            torch.autograd.backward(detector(images, targets)[0])

    step()  # the first one pays for the start
    began = time.monotonic()
    for _ in range(REPEATS):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.monotonic() - began) / REPEATS / PROBE_IMAGES


def estimate(
    project: Project,
    stage: str,
    space: Sequence[Dimension],
    *,
    images: int,
    trials: int,
    concurrent: int,
    gpus: float,
) -> Cost:
    """The cost of the trials that are left.

    Args:
        project: project without a trial's values.
        stage: stage that every trial trains: `backbone` or `finetune`.
        space: searched keys; where epochs or rounds are among them, their mean counts.
        images: number of images that an epoch learns from.
        trials, concurrent, gpus: figures of the cost, see `Cost`.
    """
    section = getattr(project, stage)
    epochs = _mean(f"{stage}.loop.epochs", space, section.loop.epochs)
    if stage == "finetune":
        epochs *= round_times(_mean("finetune.rounds", space, section.rounds))
    # Trials at a time share the machine, unless each has GPUs of its own.
    share = 1 if gpus else concurrent
    seconds = step_seconds(project, stage) * images * epochs * share / project.scaling.processes
    return Cost(trials, seconds + START_SECONDS, concurrent, gpus)


def _mean(key: str, space: Sequence[Dimension], fixed: int) -> float:
    """The mean of a number that may be searched."""
    for dimension in space:
        if dimension.key == key:
            values = dimension.values or (dimension.low, dimension.high)
            return float(sum(values) / len(values))
    return float(fixed)
