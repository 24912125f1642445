"""Time of backbone pretraining's steps side by side: YOLOv8n at 224 px, scratch, on the CPU."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.registry import Row, at_least, at_most
from cluster.on_ray import RaySection, machine_cpus, ray_session
from cluster.storage import Storage
from cluster.tracking import Run, Tracker, TrackingSection
from pipelines.surfaces import generate
from training.agbp import AgbpTask, BackboneSection, PretrainImages
from training.agbp.pretext import pretext_names
from training.loop import Batch, LoopSettings, ScalingSection, SeededDataset, Task, optimizer
from training.loop.fit import fit
from training.models.backbones import build

SIZE, BATCH, GRID, ROUNDS, STEPS = 224, 16, 15, 5, 2
SECOND_PASS = "simmim"  # whose attention is that of the unmasked image, by the method's definition


def run() -> Iterator[Row]:
    """Distillation beside the pretext task alone; our loop beside a bare one; the data beside the model."""
    torch.set_num_threads(machine_cpus())
    with tempfile.TemporaryDirectory() as folder:
        images = surfaces(Path(folder), 4 * BATCH)
        for name in pretext_names():
            if name == "none":
                continue
            yield distillation(images, name)
        yield from loop_and_data(images, folder)


def surfaces(folder: Path, count: int) -> PretrainImages:
    """Generated surfaces of two categories on disk, with random maps."""
    names = ("steel_sheet", "steel_strip")
    uris = []
    for index in range(count):
        uris.append(str(folder / f"{index}.png"))
        sample = generate(0, index, size=SIZE, category=names[index % 2])
        cv2.imwrite(uris[-1], sample.image[..., ::-1])
    maps = np.random.default_rng(0).random((count, GRID, GRID)).astype(np.float16)
    ids = tuple(str(index) for index in range(count))
    return PretrainImages(ids, tuple(uris), np.arange(count) % 2, names, maps)


@contextmanager
def worker_bench(folder: str) -> Iterator[tuple[Storage, Run]]:
    """A local Ray of this machine's CPUs, a directory, and a tracking run, for trainings in the block."""
    workspace = Storage.open(folder)
    with (
        ray_session(RaySection(cpus=machine_cpus(), gpus=0)),
        Tracker.open(TrackingSection(), workspace).pipeline("benchmark", {}) as pipeline,
        pipeline.stage("backbone", config={}, tags={}) as run,
    ):
        yield workspace.at("trainings"), run


def task_of(images: PretrainImages, **changes: Any) -> AgbpTask:
    """A pretraining of YOLOv8n, always with the same first weights."""
    torch.manual_seed(0)
    section = BackboneSection.model_validate({"image_size": SIZE, "moco": {"hidden": 512}} | changes)
    return AgbpTask(section, build("yolov8n"), images, seed=0)


def settings(**changes: Any) -> LoopSettings:
    """Settings of a loop that only trains."""
    return LoopSettings.model_validate({"batch_size": BATCH, "eval_every": 1000, "clip_norm": 10.0} | changes)


def distillation(images: PretrainImages, pretext: str) -> Row:
    """The step with λ measured beside λ = 0, the same batch, in turns."""
    tasks = [task_of(images, pretext=pretext, lam=lam) for lam in (0.0, "auto")]
    batch = tasks[0].collate([tasks[0].dataset[index] for index in range(BATCH)])
    optimizers = [optimizer(task.model, settings()) for task in tasks]
    seconds: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for side, (task, steps) in enumerate(zip(tasks, optimizers, strict=True)):
            start = time.process_time()
            bare_step(task, batch, steps)
            seconds[side].append(time.process_time() - start)
    # CPU time of pairs that ran one after the other: so other processes on the machine count least.
    ratio = statistics.median(b / a for a, b in list(zip(*seconds, strict=True))[1:])
    what = f"AGBP's step against {pretext}'s alone, CPU time"
    if pretext == SECOND_PASS:
        return Row(f"{what} (a second pass, of the unmasked image)", ratio)
    return at_most(what, ratio, 1.10)


def bare_step(task: AgbpTask, batch: Batch, steps: torch.optim.Optimizer) -> None:
    """What anyone would write by hand."""
    loss, _ = task.loss(task.model, batch)
    steps.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(task.model.parameters(), 10.0)
    steps.step()


class Ready(SeededDataset):
    """A data set of `count` empty items."""

    def __init__(self, count: int) -> None:
        super().__init__(0)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        return {}


class ReadyTask(Task):
    """A pretraining whose every batch is the same one, ready in memory; after each epoch it times bare steps.

    Args:
        task: the task whose model and loss are trained.
        bare: another of the same first weights, for the bare steps.
        steps: steps an epoch.
    """

    def __init__(self, task: AgbpTask, bare: AgbpTask, steps: int) -> None:
        self.task, self.steps = task, steps
        self.batch = task.collate([task.dataset[index] for index in range(BATCH)])
        self.model, self.dataset = task.model, Ready(steps * BATCH)
        self.bare = bare
        self.bare_optimizer = optimizer(self.bare.model, settings())
        self.began = 0.0

    def collate(self, items: Sequence[Batch]) -> Batch:
        """The batch that is ready."""
        return self.batch

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """See `AgbpTask.loss`."""
        return self.task.loss(model, batch)

    def train_mode(self, model: nn.Module) -> None:
        """An epoch begins."""
        super().train_mode(model)
        self.began = time.process_time()

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """CPU seconds of the epoch's steps, and of as many bare ones; Ray's threads count as well."""
        looped = time.process_time() - self.began
        start = time.process_time()
        for _ in range(self.steps):
            bare_step(self.bare, self.batch, self.bare_optimizer)
        bare = time.process_time() - start
        return {"looped": looped / self.steps, "bare": bare / self.steps}


def build_ready(images: PretrainImages) -> Task:
    """What the Ray Train worker trains."""
    return ReadyTask(task_of(images), task_of(images), STEPS)


def loop_and_data(images: PretrainImages, folder: str) -> Iterator[Row]:
    """Ray Train's step beside a bare one in one worker, and images/s of the data beside the model's."""
    with worker_bench(folder) as (directory, run):
        result = fit(
            build_ready,
            images,
            settings(epochs=ROUNDS, eval_every=1),
            name="ready",
            directory=directory,
            scaling=ScalingSection(workers=1, cpus_per_worker=machine_cpus(), gpu=False),
            run=run,
            title="backbone_step",
        )
    rows = result.history[1:]
    bare = statistics.median(row["bare"] for row in rows)
    ratio = statistics.median(row["looped"] / row["bare"] for row in rows)
    yield at_most("Ray Train's step against a bare PyTorch step, batch in memory, CPU time", ratio, 1.05)
    dataset = task_of(images).dataset
    for index in range(len(dataset)):
        dataset[index]  # into the cache, as after the first epoch
    start = time.process_time()
    for index in range(len(dataset)):
        dataset[index]
    data, model = len(dataset) / (time.process_time() - start), BATCH / bare
    yield Row("data: images/s of one CPU, augmented", data)
    yield Row("model: images/s of one CPU", model)
    yield at_least("data against the model's demand, for the same CPU time", data / model, 0.9)
