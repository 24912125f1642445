"""How weights move: the optimizer with its parameter groups, and the learning rate by step."""

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from cluster.config import Section


class LoopSettings(Section):
    """How long and how a model is trained; the same for every task.

    Attributes:
        epochs: passes over the images.
        batch_size: over all workers and accumulated parts together; a smaller set of images is one batch.
        accumulate: parts that each worker's share of a batch is split into, whose gradients add up to one
            step; saves memory. Batch norms see a part at a time.
        optimizer: `sgd` with Nesterov momentum, or `adamw`.
        lr: peak learning rate.
        lr_batch: batch size that `lr` is meant for: the rate is scaled by the total batch size over this;
            None takes `lr` as it is.
        momentum: SGD's momentum, AdamW's β1.
        weight_decay: of weights; biases and norms have none.
        warmup_epochs: of linear rise from zero; part of `epochs`.
        schedule: what follows the warmup: `cosine` down to lr · lr_final; `multistep`, times `gamma` after
            each epoch of `milestones`; or `constant`.
        lr_final: a factor of `lr`.
        milestones: rising epochs of `multistep`.
        gamma: a factor of the rate.
        clip_norm: largest L2 norm of all gradients; None doesn't clip.
        ema_decay: of the averaged weights that are evaluated and kept; None keeps the plain ones.
        precision: `fp32`, or `bf16` or `fp16` autocast, the latter with a loss scaler.
        eval_every: epochs between evaluations; the last epoch is always evaluated.
        eval_at_start: evaluate before the first step too (the history's epoch 0).
        best_metric: of `Task.evaluate`, higher is better: its best epoch is kept; None keeps the last.
        keep_best: how many of the best epochs by `best_metric` are kept; above 1 their weights, and the last
            ones, are left beside the result.
        patience: epochs without a better `best_metric` after which training stops; None never stops.
        checkpoint_every: epochs between checkpoints; the last epoch has always one.
        loaders: processes per worker that read and augment images; 0 reads in the worker itself.
        seed: of the order of images, augmentation and dropout; None takes the project's.
    """

    epochs: int = Field(default=100, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=1, le=1 << 16)
    accumulate: int = Field(default=1, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=0.01, gt=0, le=100)
    lr_batch: int | None = Field(default=None, ge=1, le=1 << 20)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    warmup_epochs: float = Field(default=1.0, ge=0)
    schedule: Literal["cosine", "multistep", "constant"] = "cosine"
    lr_final: float = Field(default=0.01, ge=0, le=1)
    milestones: tuple[int, ...] = ()
    gamma: float = Field(default=0.1, gt=0, le=1)
    clip_norm: float | None = Field(default=10.0, gt=0)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    eval_every: int = Field(default=1, ge=1)
    eval_at_start: bool = False
    best_metric: str | None = None
    keep_best: int = Field(default=1, ge=1, le=100)
    patience: int | None = Field(default=None, ge=1)
    checkpoint_every: int = Field(default=1, ge=1)
    loaders: int = Field(default=0, ge=0, le=256)
    seed: int | None = Field(default=None, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _patience_needs_a_metric(self) -> "LoopSettings":
        if self.patience is not None and self.best_metric is None:
            raise ValueError("patience needs best_metric, the metric whose improvement it waits for")
        if self.keep_best > 1 and self.best_metric is None:
            raise ValueError("keep_best needs best_metric, the metric by which epochs are compared")
        return self

    @model_validator(mode="after")
    def _milestones_rise(self) -> "LoopSettings":
        if bool(self.milestones) != (self.schedule == "multistep"):
            raise ValueError('milestones belong to schedule="multistep", which needs at least one')
        if any(epoch < 1 for epoch in self.milestones) or sorted(set(self.milestones)) != list(
            self.milestones
        ):
            raise ValueError(f"milestones must be rising epochs from 1 on, not {list(self.milestones)}")
        return self

    def scaled(self, batch_size: int) -> "LoopSettings":
        """These settings with `lr` scaled to a total batch of `batch_size` images, if it is to be."""
        if self.lr_batch is None:
            return self
        return self.model_copy(update={"lr": self.lr * batch_size / self.lr_batch, "lr_batch": None})

    def seeded(self, seed: int) -> "LoopSettings":
        """These settings with the project's seed, unless they have their own."""
        return self if self.seed is not None else self.model_copy(update={"seed": seed})


def optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.Optimizer:
    """The optimizer of the model's parameters that learn; vectors and scalars (biases, norms) don't decay."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr, betas=(settings.momentum, 0.999))
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0)


def learning_rate(settings: LoopSettings, step: int, steps_per_epoch: int) -> float:
    """The rate of a step (from 0): it depends on nothing else, so a resumed run needs no scheduler state."""
    warmup = settings.warmup_epochs * steps_per_epoch
    if step + 1 < warmup:
        return settings.lr * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.lr
    if settings.schedule == "multistep":
        passed = sum(step >= milestone * steps_per_epoch for milestone in settings.milestones)
        return settings.lr * settings.gamma**passed
    done = (step - warmup) / max(1.0, settings.epochs * steps_per_epoch - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, done))))
    return settings.lr * (settings.lr_final + (1 - settings.lr_final) * cosine)
