"""Two workers beside one: the same losses, more images/s. ConvNeXt-Atto (no batch norm), 224 px, on CPUs."""

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.backbone_step import SIZE, surfaces, worker_bench
from benchmarks.registry import Row, at_least, at_most
from cluster.on_ray import machine_cpus
from training.agbp import AgbpTask, BackboneSection, PretrainImages
from training.loop import FitResult, LoopSettings, ScalingSection, Task
from training.loop.fit import fit
from training.models.backbones import build

MODEL, IMAGES, BATCH, EPOCHS = "convnext_atto", 160, 32, 4
IDLE = 0.3  # load average below which the cores count as free


def run() -> Iterator[Row]:
    """Loss curves' greatest difference, and the ratio of images/s."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        images = surfaces(Path(folder), IMAGES)
        with worker_bench(folder) as (directory, tracked):
            one, two = (
                fit(
                    build_task,
                    images,
                    LoopSettings(epochs=EPOCHS, batch_size=BATCH, lr=0.01, seed=0, eval_every=EPOCHS),
                    name=f"workers-{workers}",
                    directory=directory,
                    scaling=ScalingSection(workers=workers, cpus_per_worker=1, gpu=False),
                    run=tracked,
                    title=f"train_scaling, {workers} workers",
                )
                for workers in (1, 2)
            )
    apart = max(abs(a["loss"] - b["loss"]) / a["loss"] for a, b in zip(one.history, two.history, strict=True))
    yield at_most(
        "2 workers against 1, same total batch: greatest relative difference of a loss", apart, 1e-5
    )
    yield Row("1 worker, 1 thread: images/s", speed(one))
    yield Row("2 workers, 1 thread each: images/s", speed(two))
    ratio = speed(two) / speed(one)
    what = "2 workers against 1: images/s"
    if machine_cpus() < 2 or load > IDLE:
        yield Row(f"{what} (not judged: two cores weren't free, load {load:.1f})", ratio)
    else:
        yield at_least(what, ratio, 1.7)


def speed(result: FitResult) -> float:
    """Images/s of the epochs after the first, which fills the caches."""
    return statistics.median(row["images_per_s"] for row in result.history[1:])


def build_task(images: PretrainImages) -> Task:
    """Cls and distillation, λ measured over all workers."""
    torch.manual_seed(0)
    section = BackboneSection.model_validate({"name": MODEL, "image_size": SIZE})
    return AgbpTask(section, build(MODEL), images, seed=0)
