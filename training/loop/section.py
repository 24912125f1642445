"""The config of every training: its loop, and how it is spread over workers."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cluster.config import Section

Precision = Literal["fp32", "bf16", "fp16"]


class LoopSettings(Section):
    """How long and how a model is trained; the same for every task.

    Attributes:
        epochs: passes over the images.
        batch_size: images per step, over all workers and accumulated parts; a smaller set is one batch.
        accumulate: parts that each worker's share of a batch is split into, whose gradients add up to one
            step; saves memory. Batch norms see a part at a time.
        optimizer: `sgd` with Nesterov momentum, or `adamw`.
        lr: peak learning rate.
        lr_batch: batch size that `lr` is meant for: the rate is scaled by the total batch size over this;
            None takes `lr` as it is.
        momentum: SGD's momentum, AdamW's β1.
        layer_decay: factor of the rate from one layer of the backbone to the one before it, the head's being
            1; None learns all at one rate.
        weight_decay: decay of the weights; biases and norms have none.
        warmup_epochs: epochs of linear rise from zero; part of `epochs`.
        schedule: what follows the warmup: `cosine` down to lr · lr_final; `multistep`, times `gamma` after
            each epoch of `milestones`; or `constant`.
        lr_final: a factor of `lr`.
        milestones: rising epochs of `multistep`.
        gamma: a factor of the rate.
        clip_norm: largest L2 norm of all gradients; None doesn't clip.
        ema_decay: decay of the averaged weights, which are evaluated and kept; None keeps the plain ones.
        precision: `fp32`, or `bf16` or `fp16` autocast, the latter with a loss scaler.
        eval_every: epochs between evaluations; the last epoch is always evaluated.
        eval_at_start: evaluate before the first step too (the history's epoch 0).
        best_metric: figure of `Task.evaluate`, higher is better: its best epoch is kept; None keeps the last.
        keep_best: how many of the best epochs by `best_metric` are kept; above 1 their weights, and the last
            ones, are left beside the result.
        patience: epochs without a better `best_metric` after which training stops; None never stops.
        checkpoint_every: epochs between checkpoints; the last epoch always has one.
        loaders: processes per worker that read and augment images; 0 reads in the worker itself.
        seed: random seed of the order of images, augmentation and dropout; None takes the project's.
    """

    epochs: int = Field(default=100, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=1, le=1 << 16)
    accumulate: int = Field(default=1, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=0.01, gt=0, le=100)
    lr_batch: int | None = Field(default=None, ge=1, le=1 << 20)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0, le=1)
    layer_decay: float | None = Field(default=None, gt=0, le=1)
    warmup_epochs: float = Field(default=1.0, ge=0)
    schedule: Literal["cosine", "multistep", "constant"] = "cosine"
    lr_final: float = Field(default=0.01, ge=0, le=1)
    milestones: tuple[int, ...] = ()
    gamma: float = Field(default=0.1, gt=0, le=1)
    clip_norm: float | None = Field(default=10.0, gt=0)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    precision: Precision = "fp32"
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

    @property
    def resolved_seed(self) -> int:
        """The seed that a training takes: `seed`, or 0 where no project has given its own (see `seeded`)."""
        return self.seed or 0


class ScalingSection(Section):
    """Workers of every training.

    Attributes:
        workers: processes that share each batch; 0 trains in the command's own process, without Ray, which
            saves small trainings the start of workers (and has no use for what follows but `gpu`). `auto` is
            0 on this machine alone, with one GPU at most, and 1 on Ray where a cluster is named or joined,
            where there are several GPUs, or where `cpus_per_worker`, `ray.cpus`, `ray.gpus` or
            `ray.niceness` shape the worker; `max_failures` then counts failures to read or write too.
        cpus_per_worker: None gives each the most that lets all fit on the cluster's nodes.
        gpu: whether workers have GPUs; `auto` when the cluster has enough.
        gpus_per_worker: a fraction shares a GPU among trials (`agssp tune`); several workers of one training
            must not share one.
        max_failures: worker losses survived, each by resuming from the last checkpoint; −1 for any number.
        max_preemptions: likewise, losses of workers on nodes that the cloud took back with notice.
        max_controller_failures: likewise, losses of Ray Train's controller and waits in vain for the
            workers' places.
    """

    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=4096)] = "auto"
    cpus_per_worker: float | None = Field(default=None, gt=0, le=4096)
    gpu: Literal["auto"] | bool = "auto"
    gpus_per_worker: float = Field(default=1.0, gt=0, le=1)
    max_failures: int = Field(default=3, ge=-1)
    max_preemptions: int = Field(default=-1, ge=-1)
    max_controller_failures: int = Field(default=3, ge=-1)

    @property
    def processes(self) -> int:
        """How many processes share each batch, wherever they are."""
        return 1 if self.workers == "auto" else max(1, self.workers)
