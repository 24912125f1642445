"""A training of which one node is taken away with notice: `python -m tests.chaos.preempted FOLDER`."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]
from torch import Tensor, nn

from cluster.storage.storage import Storage
from tests.chaos.line import FatalLine, Points
from tests.silent_tracking import SilentRun
from training.loop.fit import fit
from training.loop.fit_result import FitResult
from training.loop.section import LoopSettings, ScalingSection
from training.loop.task import Batch, Task

EPOCHS, LOST_EPOCH, BATCH, STEPS = 3, 2, 8, 32
ASKED = 4  # steps into the epoch, when the node is asked back
NOTICE_SECONDS, STEP_SECONDS = 7, 0.3


class ManyPoints(Points):
    """Enough for an epoch of many steps."""

    def __len__(self) -> int:
        return BATCH * STEPS


class PreemptedLine(FatalLine):
    """Logs each step of the last rank as `PID EPOCH`; in one epoch, once, its node is asked back.

    The first process takes its time from then on.
    """

    def __init__(self, payload: Mapping[str, Any]) -> None:
        super().__init__(payload)
        self.dataset = ManyPoints(seed=1)
        self.steps = 0

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if self.payload["preempt"]:
            self.log()
        return (model(batch["x"]) - batch["x"].sum(dim=1, keepdim=True)).square().mean(), {}

    def log(self) -> None:
        """Note the step; in the epoch of the loss take time, and ask the node back."""
        context, folder = ray.train.get_context(), Path(self.payload["folder"])
        if context.get_world_rank() + 1 < context.get_world_size():
            return  # it waits for the last rank's gradients
        with (folder / "steps").open("a") as file:
            file.write(f"{os.getpid()} {self.dataset.epoch}\n")
        first = folder / "first"
        if self.dataset.epoch < LOST_EPOCH or (first.exists() and first.read_text() != str(os.getpid())):
            return
        time.sleep(STEP_SECONDS)  # lest the training be over before the node is
        self.steps += 1
        if self.steps == ASKED:
            first.write_text(str(os.getpid()))
            take_back()


def take_back() -> None:
    """Say that this worker's node will be taken away, as a cloud's agent or the autoscaler would."""
    here = ray.get_runtime_context()
    accepted, why = GcsClient(address=here.gcs_address).drain_node(
        here.get_node_id(),
        DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION,
        "a test takes it back",
        int((time.time() + NOTICE_SECONDS) * 1000),
    )
    assert accepted, why


def build(payload: dict[str, Any]) -> Task:
    """The builder that workers import."""
    return PreemptedLine(payload)


def fit_preempted(folder: Path, *, preempt: bool) -> FitResult:
    """Two workers on Ray of whose nodes one is taken away; or, unbroken, this process alone."""
    return fit(
        build,
        {"folder": str(folder), "preempt": preempt},
        LoopSettings(epochs=EPOCHS, batch_size=BATCH, lr=0.05, ema_decay=0.9, seed=0),
        name="training",
        directory=Storage.open(str(folder)),
        scaling=ScalingSection(workers=2 if preempt else 0, cpus_per_worker=1, gpu=False, max_failures=0),
        run=SilentRun("nowhere", "id"),
        title="fit a line",
    )


def main(folder: Path) -> None:
    """Three nodes beside the head, two of them for the workers."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S"] = "0.5"
    options: dict[str, Any] = {"num_gpus": 0, "object_store_memory": 80 << 20}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **options}
    )
    for _ in range(3):
        cluster.add_node(num_cpus=1, **options)
    ray.init(address=cluster.address, log_to_driver=False)
    fit_preempted(folder, preempt=True)
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    from tests.chaos import preempted  # of `__main__` Ray would pickle all by value, protobuf's enum too

    preempted.main(Path(sys.argv[1]))
