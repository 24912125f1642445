"""A small training that misbehaves as it is told; workers import this file, and nothing of pytest with it."""

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cluster.errors import UserError
from training.loop.task import Batch, SeededDataset, Task


class Points(SeededDataset):
    """Noisy points of a line."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Batch:
        x = torch.tensor(self.rng(index).normal(size=3), dtype=torch.float32)
        return {"x": x, "image_id": str(index)}


class Line(Task):
    """A line fitted to points; it misbehaves where `payload` says, once for each `marker` file."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        torch.manual_seed(0)
        self.model, self.dataset = nn.Linear(3, 1), Points(seed=1)
        self.payload, self.steps = payload, 0

    def collate(self, items: Sequence[Batch]) -> Batch:
        return {
            "x": torch.stack([item["x"] for item in items]),
            "image_ids": [item["image_id"] for item in items],
        }

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        self.steps += 1
        marker = self.payload.get("marker")
        if marker and self.dataset.epoch == 4 and not Path(marker).exists():
            if Path(marker).parent.is_dir():
                Path(marker).touch()
            raise OSError("the disk went away")
        loss = (model(batch["x"]) - batch["x"].sum(dim=1, keepdim=True)).square().mean()
        if full := self.payload.get("full"):
            with Path(full).open("a") as log:
                log.write("tried\n")
            raise OSError(errno.ENOSPC, "No space left on device", "state-000001.pt")
        if self.payload.get("nan") and self.dataset.epoch == 2:
            loss = loss * float("nan")
        return loss, {}

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        return {"weight": float(next(model.parameters()).sum())}


def build(payload: dict[str, Any]) -> Task:
    """The builder that workers import."""
    if payload.get("refuse"):
        raise UserError("The corpus is empty; add images.")
    return Line(payload)
