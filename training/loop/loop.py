"""The training loop in plain PyTorch: the same on one CPU, one GPU or as one of many workers."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from itertools import chain

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from cluster.errors import UserError
from training.loop.batches import epoch_batches, split
from training.loop.ema import EMA
from training.loop.optimiser import learning_rate, optimizer
from training.loop.reports import (
    EpochReport as EpochReport,
    NonFiniteLoss as NonFiniteLoss,
    Notice as Notice,
    StepReport as StepReport,
    Trained as Trained,
)
from training.loop.section import LoopSettings as LoopSettings
from training.loop.seeds import seed_everything, step_seed
from training.loop.state import HistoryRow as HistoryRow, Progress, State as State, copied, weights_of
from training.loop.task import Batch, Task

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
STEP_SECONDS = 2.0  # from report to report within an epoch: reading the loss makes an accelerator wait
NOTICE_STEPS = 10  # between questions for a notice, for which the workers wait for one another


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
    on_step: Callable[[StepReport], None] = lambda report: None,
    notice: Notice | None = None,
) -> Trained:
    """Train a task; a run resumed from any state ends as the unbroken one.

    The global generators are seeded anew each step from (seed, step, rank), so generators' states needn't be
    kept. Rank 0 alone evaluates; the others wait for its metrics.

    A run may be resumed with another number of workers: the images of each batch, their augmentation and the
    schedule stay the same. What a worker does by itself changes: dropout's noise, and batch norms'
    statistics, which each worker takes of its own share.

    Args:
        task: its model is moved to `device` and trained in place.
        settings: the loop's settings; `batch_size` is that of all workers together.
        device: this worker's device.
        on_epoch: called on every rank after each epoch.
        rank, world: this worker's number and the number of workers, when torch.distributed is initialised.
        wrap: puts the moved model into its DDP wrapper.
        resume: the state of an `EpochReport` or a `Notice`.
        on_step: called on every rank now and then within an epoch.
        notice: saves a state amid an epoch, once.

    Raises:
        UserError: see `epoch_batches`; `best_metric` names no metric of the task.
        NonFiniteLoss: the loss is NaN or infinite, or (unless the precision is `fp16`, whose scaler skips
            such steps) the norm of the gradients that `clip_norm` looks at.
    """
    loop = _Loop(task, settings, device, rank, world, wrap, on_step, notice)
    if resume is not None:
        loop.restore(resume)
    progress = loop.progress

    if settings.eval_at_start and not progress.history:
        row: HistoryRow = {"epoch": 0, "step": 0, **loop.evaluate()}
        progress.history.append(row)
        on_epoch(EpochReport(0, settings.epochs, row, due=False, state=None))

    while (progress.epoch < settings.epochs or progress.part) and not progress.stopped:
        start = time.monotonic() - progress.part.get("seconds", 0.0)
        if not progress.part:
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
        on_step: Callable[[StepReport], None],
        notice: Notice | None,
    ) -> None:
        settings = settings.scaled(min(settings.batch_size, len(task.dataset)))
        self.task, self.settings, self.device = task, settings, device
        self.rank, self.world, self.on_step, self.notice = rank, world, on_step, notice
        self.model = task.model.to(device)
        if device.type == "cpu":  # this makes convolutions a fifth faster; not measured on GPUs
            self.model.to(memory_format=torch.channels_last)
        self.ema = EMA(self.model, settings.ema_decay) if settings.ema_decay is not None else None
        self.kept = self.ema.model if self.ema else self.model
        self.optimizer = optimizer(self.model, settings)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.wrap, self.wrapped = wrap, wrap(self.model)
        self.learning = self.learners()
        self.seed = settings.resolved_seed
        self.progress = Progress()

    def run_epoch(self, epoch: int) -> HistoryRow:
        """Train through all batches of an epoch, or those left after a state that was taken amid it."""
        start = last_report = time.monotonic()
        settings, progress = self.settings, self.progress
        part, progress.part = progress.part, {}
        self.task.dataset.set_epoch(epoch)
        images = len(self.task.dataset)
        indices = epoch_batches(images, settings.batch_size, self.seed, epoch, self.rank, self.world)
        done: int = part.get("steps", 0)
        parts = [split(batch, settings.accumulate) for batch in indices[done:]]
        self.task.train_mode(self.wrapped)
        if (learning := self.learners()) != self.learning:
            # DDP would wait for the gradients of what learnt when it was made.
            self.wrapped, self.learning = self.wrap(self.model), learning
        # Rank 0 takes the sums of all workers, the others start from 0.
        sums = {
            name: torch.tensor(value if self.rank == 0 else 0.0, device=self.device)
            for name, value in part.get("sums", {}).items()
        }
        rate, seen = 0.0, 0
        loaded = self.batches(list(chain.from_iterable(parts)))
        for number, (batch, members) in enumerate(zip(indices[done:], parts, strict=True), done + 1):
            seed_everything(step_seed(self.seed, progress.step, self.rank))
            rate = learning_rate(settings, progress.step, len(indices))
            shares = [len(part) / len(batch) for part in members]
            values = self.step(zip(shares, loaded, strict=False), len(shares), rate)
            self.task.stepped(progress.step, settings.epochs * len(indices))
            for name, value in values.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value
            seen += len(batch) * self.world
            now = time.monotonic()
            if now - last_report >= STEP_SECONDS:
                last_report = now
                loss = values["loss"].item()
                self.on_step(StepReport(epoch, number, len(indices), loss, seen / (now - start)))
            asked = number % NOTICE_STEPS == 0 and number < len(indices)
            if self.notice is not None and asked and self.notice.given():
                seconds = part.get("seconds", 0.0) + time.monotonic() - start
                progress.part = {"steps": number, "sums": self.totals(sums), "seconds": seconds}
                if self.rank == 0:
                    self.notice.save(epoch, self.state())
                progress.part, self.notice = {}, None
        return {
            "epoch": epoch,
            "step": progress.step,
            "lr": rate,
            **{name: total / (len(indices) * self.world) for name, total in self.totals(sums).items()},
            "images_per_s": seen / (time.monotonic() - start),
        }

    def learners(self) -> list[bool]:
        """Whether each of the model's parameters learns."""
        return [parameter.requires_grad for parameter in self.model.parameters()]

    def totals(self, sums: dict[str, Tensor]) -> dict[str, float]:
        """The sums of all workers together."""
        stacked = torch.stack(list(sums.values()))
        if self.world > 1:
            dist.all_reduce(stacked)
        return dict(zip(sums, stacked.tolist(), strict=True))

    def batches(self, indices: list[list[int]]) -> Iterator[Batch]:
        """The batches of these indices, on the device."""
        loader = DataLoader(
            self.task.dataset,
            batch_sampler=indices,
            collate_fn=self.task.collate,
            num_workers=self.settings.loaders,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # its own: an iterator begun amid an epoch must draw from no step's
        )
        for batch in loader:
            yield {
                key: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
                for key, value in batch.items()
            }

    def step(self, parts: Iterable[tuple[float, Batch]], count: int, rate: float) -> dict[str, Tensor]:
        """One optimizer step; the detached loss and its parts as `loss_<part>`, means over the batch.

        Args:
            parts: each one's share of this worker's batch, and the part itself; the shares sum to 1.
            count: number of parts.
            rate: learning rate.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)  # older states had no scales
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        batch: Batch = {}
        for number, (share, batch) in enumerate(parts, 1):
            alone = isinstance(self.wrapped, DistributedDataParallel) and number < count
            # Workers exchange gradients once, with the last part.
            with self.wrapped.no_sync() if alone else nullcontext():  # type: ignore[operator]
                loss, values = self._backward(batch, share)
            self._check(loss, "loss", batch)
            for name, value in {
                "loss": loss,
                **{f"loss_{key}": value for key, value in values.items()},
            }.items():
                sums[name] = sums.get(name, 0.0) + share * value.detach().float()
        self.scaler.unscale_(self.optimizer)
        if self.settings.clip_norm is not None:
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
            if not self.scaler.is_enabled():
                self._check(norm, "norm of the gradients", batch)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.ema is not None:
            self.ema.update(self.model)
        self.progress.step += 1
        return sums

    def _backward(self, batch: Batch, share: float) -> tuple[Tensor, dict[str, Tensor]]:
        kind = AUTOCAST.get(self.settings.precision)
        with torch.autocast(self.device.type, kind, enabled=kind is not None):
            loss, values = self.task.loss(self.wrapped, batch)
        torch.autograd.backward(self.scaler.scale(loss * share))
        return loss, values

    def _check(self, value: Tensor, what: str, batch: Batch) -> None:
        """Stop, naming the batch's images, unless the value is finite."""
        if not torch.isfinite(value):
            ids = [str(name) for name in batch.get("image_ids", [])]
            where = f"epoch {self.progress.epoch}, step {self.progress.step + 1}"
            raise NonFiniteLoss(f"the {what} became {value.item()} in {where}", ids)

    def evaluate(self) -> HistoryRow:
        """The metrics of the kept weights, on every rank."""
        shared: list[HistoryRow] = [self.task.evaluate(self.kept, self.device) if self.rank == 0 else {}]
        if self.world > 1:
            dist.broadcast_object_list(shared, src=0, device=self.device)
        return shared[0]

    def judge(self, row: HistoryRow) -> None:
        """Keep the weights if this epoch is the best; stop if the best was too long ago."""
        name, progress = self.settings.best_metric, self.progress
        if name is None:
            return
        if name not in row:
            raise UserError(f"best_metric={name} is not among this task's values: {', '.join(row)}.")
        value = row[name]
        if not math.isnan(value):
            entry = {"epoch": progress.epoch, "value": value, "weights": {}}
            ranked = sorted([*progress.best, entry], key=lambda best: -best["value"])  # ties: the earlier
            progress.best = ranked[: self.settings.keep_best]
            if any(best is entry for best in progress.best):
                entry["weights"] = copied(dict(self.kept.state_dict()))
        if self.settings.patience is not None:
            best_epoch = progress.best[0]["epoch"] if progress.best else 0
            progress.stopped = progress.epoch - best_epoch >= self.settings.patience

    def state(self) -> State:
        """What `restore` needs, as copies on the CPU."""
        state: State = {
            "progress": dict(vars(self.progress)),
            "model": dict(self.model.state_dict()),
            "ema": self.ema.state() if self.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "task": dict(self.task.state()),
        }
        whole: State = copied(state)
        return whole

    def restore(self, state: State) -> None:
        """Continue where this state was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        if self.ema is not None:
            self.ema.load_state(state["ema"])
        self.task.load_state(state["task"])
        self.progress = Progress(**copied(state["progress"]))
