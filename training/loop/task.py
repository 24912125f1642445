"""What one training trains: model, data and loss, with no word about Ray, loops or devices."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

Batch = dict[str, Any]


class SeededDataset(Dataset[Batch], ABC):
    """Images whose augmentation depends on (seed, epoch, index) alone, so any order or resume gives the same.

    Args:
        seed: the training's random seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.epoch = seed, 0

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abstractmethod
    def __getitem__(self, index: int) -> Batch:
        """One augmented item."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose augmentations follow; called before each epoch's loader is made."""
        self.epoch = epoch

    def rng(self, index: int) -> np.random.Generator:
        """The generator of one item in this epoch."""
        return np.random.default_rng((self.seed, self.epoch, index))


class Task(ABC):
    """A model to train, its data and its loss.

    Attributes:
        model: the model, on the CPU when built; the loop moves and wraps it.
        dataset: the training images.
    """

    model: nn.Module
    dataset: SeededDataset

    @abstractmethod
    def collate(self, items: Sequence[Batch]) -> Batch:
        """Join items into a batch of tensors."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss (mean over the batch) and its detached parts by name.

        Args:
            model: `self.model`, or its DDP wrapper; calling it synchronises gradients.
            batch: a batch of `collate`, on the model's device.
        """

    def train_mode(self, model: nn.Module) -> None:
        """Put the model into training mode, before each epoch.

        Overridden where frozen parts must stay in eval (batch norms), or where what learns changes with the
        epoch. The optimizer takes what learns when the loop begins; what has no gradient stays bit by bit.
        """
        model.train()

    def stepped(self, done: int, total: int) -> None:  # noqa: B027 (most tasks have nothing to do)
        """Called on every worker after each optimizer step, e.g. to move a momentum encoder.

        Args:
            done: steps made so far, this one included.
            total: steps of the whole training.
        """

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """Metrics of the (EMA) model on held-out data, by name; empty when the task has none."""
        return {}

    def state(self) -> Mapping[str, Any]:
        """What must be saved besides model and optimizer (e.g. λ), as plain numbers and tensors."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        if state:
            raise ValueError(f"this task keeps no state, yet was given {sorted(state)}")


PlanT = TypeVar("PlanT")  # what a worker needs to build a task; picklable
