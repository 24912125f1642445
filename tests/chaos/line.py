"""A small training that kills a process of its own choice, and the driver that `test_training` kills."""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from ray._private import state
from ray.train.v2._internal.execution.context import get_train_context
from torch import Tensor, nn

from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session
from cluster.storage.storage import Storage
from tests.silent_tracking import SilentRun
from training.loop.fit import fit
from training.loop.fit_result import FitResult
from training.loop.section import LoopSettings, ScalingSection
from training.loop.task import Batch, SeededDataset, Task

EPOCHS, FATAL_EPOCH = 6, 4


class Points(SeededDataset):
    """Noisy points of a line."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Batch:
        x = torch.tensor(self.rng(index).normal(size=3), dtype=torch.float32)
        return {"x": x, "image_id": str(index)}


class FatalLine(Task):
    """A line fitted to points; in its fourth epoch, once, it kills what `payload` names.

    Args:
        payload: `victim`: `worker` (the last rank's process), `controller` or a driver's process id;
            `folder`: gets the file `killed` (with this worker's process id) just before, and `epochs`, a line
            for each that was begun.
    """

    def __init__(self, payload: Mapping[str, Any]) -> None:
        torch.manual_seed(0)
        self.model, self.dataset = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), Points(seed=1)
        self.payload, self.begun = payload, 0

    def collate(self, items: Sequence[Batch]) -> Batch:
        return {
            "x": torch.stack([item["x"] for item in items]),
            "image_ids": [item["image_id"] for item in items],
        }

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if self.dataset.epoch != self.begun:
            self.begin()
        return (model(batch["x"]) - batch["x"].sum(dim=1, keepdim=True)).square().mean(), {}

    def begin(self) -> None:
        """Note the epoch; kill the victim if it is time to, from the last rank."""
        self.begun = self.dataset.epoch
        folder = Path(self.payload["folder"])
        if dist.is_initialized() and dist.get_rank() + 1 < dist.get_world_size():
            return
        with (folder / "epochs").open("a") as file:
            file.write(f"{self.begun}\n")
        marker, victim = folder / "killed", self.payload.get("victim")
        if self.begun != FATAL_EPOCH or victim is None or marker.exists():
            return
        marker.write_text(str(os.getpid()))
        if victim == "worker":
            victim = os.getpid()
        elif victim == "controller":
            victim = controller_pid()
        os.kill(victim, signal.SIGKILL)
        time.sleep(120)  # Ray ends this worker too; till then it must not finish the epoch


def controller_pid() -> int:
    """The controller of this worker's training; one of a training before may still be ending."""
    controller: Any = get_train_context().controller_actor
    pid: int = state.actors(controller._actor_id.hex())["Pid"]
    return pid


def build(payload: dict[str, Any]) -> Task:
    """The builder that workers import."""
    return FatalLine(payload)


def fit_line(
    folder: Path, victim: str | int | None, *, workers: Literal["auto"] | int = 1, budget: int = 2
) -> FitResult:
    """Fit the line in `folder`; what lies there is gone on with."""
    return fit(
        build,
        {"folder": str(folder), "victim": victim},
        LoopSettings(epochs=EPOCHS, batch_size=8, lr=0.05, ema_decay=0.9, seed=0),
        name="training",
        directory=Storage.open(str(folder)),
        scaling=ScalingSection(
            workers=workers,
            cpus_per_worker=None if workers == "auto" else 1,
            gpu=False,
            max_failures=budget,
            max_controller_failures=budget,
        ),
        run=SilentRun("nowhere", "id"),
        title="fit a line",
    )


def epochs_begun(folder: Path) -> list[int]:
    """The epochs that were begun, in order, one begun twice there twice."""
    return [int(line) for line in (folder / "epochs").read_text().split()]


if __name__ == "__main__":  # FOLDER: on two workers; FOLDER here: as by default, where no cluster is named
    if "here" in sys.argv:
        with ray_session(RaySection()):
            fit_line(Path(sys.argv[1]), os.getpid(), workers="auto")
    else:
        with ray_session(RaySection(cpus=2, gpus=0, object_store_gb=0.5)):
            fit_line(Path(sys.argv[1]), os.getpid(), workers=2)
