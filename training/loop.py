"""The training loop in plain PyTorch: the same on one CPU, one GPU or as one of many workers."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cluster.errors import UserError
from training.batches import epoch_batches
from training.ema import EMA
from training.optimiser import LoopSettings as LoopSettings
from training.optimiser import learning_rate, optimizer
from training.task import Batch, Task
from training.weights import StateDict

Row = dict[str, float]
State = dict[str, Any]


class NonFiniteLoss(RuntimeError):  # noqa: N818 (the field's name)
    """The loss became NaN or infinite.

    Attributes:
        image_ids: of the batch that did it.
    """

    def __init__(self, message: str, image_ids: list[str]) -> None:
        super().__init__(message, image_ids)
        self.image_ids = image_ids

    def __str__(self) -> str:
        shown = ", ".join(self.image_ids[:8]) + (", …" if len(self.image_ids) > 8 else "")
        return f"{self.args[0]} (images: {shown})"


@dataclass(frozen=True)
class EpochReport:
    """What is known after an epoch.

    Attributes:
        epoch: 0 for the evaluation before training, else counted from 1.
        epochs: planned in all.
        row: this epoch's line of the history.
        due: whether a checkpoint is to be kept.
        state: then, on rank 0, all that a resumed run needs: tensors, numbers and containers only.
    """

    epoch: int
    epochs: int
    row: Row
    due: bool
    state: State | None


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Attributes:
        weights: state dict of the best epoch by `best_metric`, or of the last; averaged if there is an EMA.
        history: a row per epoch: `epoch`, `step`, `lr`, `loss` and `loss_<part>` (means over the epoch),
            metrics where evaluated, `images_per_s` (all workers), `seconds`.
    """

    weights: StateDict
    history: list[Row]


@dataclass
class _Progress:
    """What grows while training goes on."""

    epoch: int = 0
    step: int = 0
    stopped: bool = False
    history: list[Row] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    best_weights: StateDict | None = None


def train(
    task: Task,
    settings: LoopSettings,
    *,
    device: torch.device,
    on_epoch: Callable[[EpochReport], None],
    rank: int = 0,
    world: int = 1,
    wrap: Callable[[nn.Module], nn.Module] = lambda model: model,
    resume: State | None = None,
) -> Trained:
    """Train a task; a run resumed from any epoch's state ends as the unbroken one.

    The global generator of torch is seeded anew each epoch from (seed, epoch, rank), so no generator's state
    need be kept. Rank 0 alone evaluates; the others wait for its metrics.

    Args:
        task: its model is moved to `device` and trained in place.
        settings: `batch_size` is that of all workers together.
        device: of this worker.
        on_epoch: called on every rank after each epoch.
        rank, world: of this worker, when torch.distributed is initialised.
        wrap: puts the moved model into its DDP wrapper.
        resume: the state of an `EpochReport`.

    Raises:
        UserError: see `epoch_batches`; `best_metric` names no metric of the task.
        NonFiniteLoss: the loss is NaN or infinite.
    """
    loop = _Loop(task, settings, device, rank, world, wrap)
    if resume is not None:
        loop.restore(resume)
    progress = loop.progress

    if settings.eval_at_start and not progress.history:
        row: Row = {"epoch": 0, "step": 0, **loop.evaluate()}
        progress.history.append(row)
        on_epoch(EpochReport(0, settings.epochs, row, due=False, state=None))

    while progress.epoch < settings.epochs and not progress.stopped:
        start = time.monotonic()
        progress.epoch += 1
        row = loop.run_epoch(progress.epoch)
        if progress.epoch % settings.eval_every == 0 or progress.epoch == settings.epochs:
            row |= loop.evaluate()
            loop.judge(row)
        row["seconds"] = time.monotonic() - start
        progress.history.append(row)
        last = progress.stopped or progress.epoch == settings.epochs
        due = last or progress.epoch % settings.checkpoint_every == 0
        state = loop.state() if due and rank == 0 else None
        on_epoch(EpochReport(progress.epoch, settings.epochs, row, due, state))
    return Trained(weights_of(loop.state()), progress.history)


def weights_of(state: State) -> StateDict:
    """The weights a training is for: the best epoch's, else the averaged, else the plain last ones."""
    weights: StateDict = state["progress"]["best_weights"] or (state["ema"] or state)["model"]
    return weights


class _Loop:
    """The parts of one training that move together."""

    def __init__(
        self,
        task: Task,
        settings: LoopSettings,
        device: torch.device,
        rank: int,
        world: int,
        wrap: Callable[[nn.Module], nn.Module],
    ) -> None:
        self.task, self.settings, self.device = task, settings, device
        self.rank, self.world = rank, world
        self.model = task.model.to(device)
        self.ema = EMA(self.model, settings.ema_decay) if settings.ema_decay is not None else None
        self.kept = self.ema.model if self.ema else self.model
        self.optimizer = optimizer(self.model, settings)
        self.wrapped = wrap(self.model)
        self.seed = settings.seed or 0
        self.progress = _Progress()

    def run_epoch(self, epoch: int) -> Row:
        """Train through all batches of an epoch."""
        start = time.monotonic()
        settings, progress = self.settings, self.progress
        torch.manual_seed((self.seed * 1_000_003 + epoch) * 4099 + self.rank)
        self.task.dataset.set_epoch(epoch)
        images = len(self.task.dataset)
        indices = epoch_batches(images, settings.batch_size, self.seed, epoch, self.rank, self.world)
        self.task.train_mode(self.wrapped)
        sums: dict[str, Tensor] = {}
        rate = 0.0
        for batch in self.batches(indices):
            rate = learning_rate(settings, progress.step, len(indices))
            for name, value in self.step(batch, rate).items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach().float()
        totals = torch.stack(list(sums.values()))
        if self.world > 1:
            dist.all_reduce(totals)
        means = (totals / (len(indices) * self.world)).tolist()
        seen = sum(len(batch) for batch in indices) * self.world
        return {
            "epoch": epoch,
            "step": progress.step,
            "lr": rate,
            **dict(zip(sums, means, strict=True)),
            "images_per_s": seen / (time.monotonic() - start),
        }

    def batches(self, indices: list[list[int]]) -> Iterator[Batch]:
        """The batches of an epoch, on the device."""
        loader = DataLoader(
            self.task.dataset,
            batch_sampler=indices,
            collate_fn=self.task.collate,
            num_workers=self.settings.loaders,
            pin_memory=self.device.type == "cuda",
        )
        for batch in loader:
            yield {
                key: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
                for key, value in batch.items()
            }

    def step(self, batch: Batch, rate: float) -> dict[str, Tensor]:
        """One optimizer step; the loss and its parts as `loss_<part>`."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            loss, parts = self.task.loss(self.wrapped, batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if not torch.isfinite(loss):
            ids = [str(name) for name in batch.get("image_ids", [])]
            where = f"epoch {self.progress.epoch}, step {self.progress.step + 1}"
            raise NonFiniteLoss(f"the loss became {loss.item()} in {where}", ids)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update(self.model)
        self.progress.step += 1
        return {"loss": loss, **{f"loss_{name}": value for name, value in parts.items()}}

    def evaluate(self) -> Row:
        """The metrics of the kept weights, on every rank."""
        shared: list[Row] = [self.task.evaluate(self.kept, self.device) if self.rank == 0 else {}]
        if self.world > 1:
            dist.broadcast_object_list(shared, src=0, device=self.device)
        return shared[0]

    def judge(self, row: Row) -> None:
        """Keep the weights if this epoch is the best; stop if the best is too long ago."""
        name, progress = self.settings.best_metric, self.progress
        if name is None:
            return
        if name not in row:
            raise UserError(f"best_metric={name} is not among this task's values: {', '.join(row)}.")
        if progress.best is None or row[name] > progress.best:
            progress.best, progress.best_epoch = row[name], progress.epoch
            progress.best_weights = _copied(dict(self.kept.state_dict()))
        elif self.settings.patience is not None:
            progress.stopped = progress.epoch - progress.best_epoch >= self.settings.patience

    def state(self) -> State:
        """All that `restore` needs, as copies on the CPU."""
        state: State = {
            "progress": dict(vars(self.progress)),
            "model": dict(self.model.state_dict()),
            "ema": self.ema.state() if self.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "task": dict(self.task.state()),
        }
        copied: State = _copied(state)
        return copied

    def restore(self, state: State) -> None:
        """Continue after the epoch whose state this is."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.load_state(state["ema"])
        self.task.load_state(state["task"])
        self.progress = _Progress(**_copied(state["progress"]))


def _copied(content: Any) -> Any:
    """The same nest of containers with every tensor copied to the CPU."""
    if isinstance(content, Tensor):
        return content.detach().to("cpu", copy=True)
    if isinstance(content, dict):
        return {key: _copied(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_copied(value) for value in content]
    return content
