"""The state of a surface-clip training between steps: optimiser, schedule, loss curve, checkpoint."""

import time
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from cluster.progress import say
from training.encoder.section import SurfaceClipSettings

TERMS = ("contrastive", "image", "dense", "few")
CURVE_STEPS = 50  # one point of the curve is their mean

Shard = tuple[Tensor, tuple[Tensor, ...]]  # loss terms (4,), and gradients in the parameters' order


def learning_rate(step: int, settings: SurfaceClipSettings) -> float:
    """Linear warm-up, the full rate up to a third of the steps, then a cosine to zero; factor of the rate."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    hold = settings.steps / 3
    done = max(0.0, (step - hold) / max(1.0, settings.steps - hold))
    return float(0.5 * (1 + torch.cos(torch.tensor(done * torch.pi))))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; gains, biases, embeddings and the logit scale don't."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        (free if parameter.ndim < 2 or "embedding" in name else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


class TrainingState:
    """A training between two steps.

    Args:
        model: the CLIP; its image tower and its logit scale learn.
        settings: the training's settings.
        start: digest and record of the model to go on from, or None.
        checkpoint: the checkpoint's file.

    Attributes:
        learnt: image tower and logit scale.
        done: number of finished steps.
        curve: mean loss terms of every `CURVE_STEPS` steps.
    """

    def __init__(
        self,
        model: open_clip.CLIP,
        settings: SurfaceClipSettings,
        start: dict[str, Any] | None,
        checkpoint: Path,
    ) -> None:
        self.model, self.settings, self.start, self.checkpoint = model, settings, start, checkpoint
        self.learnt = nn.ModuleDict({"visual": model.visual})
        self.learnt.logit_scale = model.logit_scale
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.learnt, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98)
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: learning_rate(step, settings)
        )
        self.done = 0
        self.curve: list[dict[str, float]] = []
        self._sums = torch.zeros(len(TERMS))
        self._began = time.monotonic()

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one.

        Raises:
            UserError: the checkpoint has other settings or another start.
        """
        if not self.checkpoint.is_file():
            return
        saved = torch.load(self.checkpoint, weights_only=True)
        if (saved["settings"], saved["start"]) != (self.settings.model_dump(), self.start):
            raise UserError(
                f"Checkpoint {self.checkpoint} is of other settings or another start; give them again or "
                "another folder."
            )
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.curve, self.done = saved["curve"], saved["step"]
        self._began = time.monotonic() - saved["seconds"]
        say(f"Resuming at step {self.done} of {self.settings.steps}.")

    def update(self, shards: list[Shard]) -> None:
        """Take one step with the parts of a batch; add a point to the curve and save when due."""
        self._sums += _step(self.learnt, self.optimizer, shards)
        self.schedule.step()
        self.done += 1
        last = self.done == self.settings.steps
        if self.done % CURVE_STEPS == 0 or last:
            means = (self._sums / ((self.done - 1) % CURVE_STEPS + 1)).tolist()
            terms = {name: round(value, 4) for name, value in zip(TERMS, means, strict=True)}
            self.curve.append({"step": self.done, **terms})
            self._sums.zero_()
        if self.done % self.settings.checkpoint_every == 0 and not last:
            self._save()

    def note(self) -> str:
        """The newest point of the curve, in words."""
        return " ".join(f"{name} {self.curve[-1][name]:.3f}" for name in TERMS) if self.curve else ""

    def record(self) -> dict[str, Any]:
        """The training's record: settings, seconds, loss curve, start."""
        return {
            "settings": self.settings.model_dump(),
            "seconds": round(time.monotonic() - self._began),
            "curve": self.curve,
            "start": self.start,
        }

    def _save(self) -> None:
        saved = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "curve": self.curve,
            "schedule": self.schedule.state_dict(),
            "step": self.done,
            "seconds": time.monotonic() - self._began,
            "settings": self.settings.model_dump(),
            "start": self.start,
        }
        partial = self.checkpoint.with_suffix(".new")
        torch.save(saved, partial)
        partial.replace(self.checkpoint)


def _step(learnt: nn.Module, optimizer: torch.optim.Optimizer, shards: list[Shard]) -> Tensor:
    """Average the shards' gradients and update; returns the mean loss terms (4,)."""
    for parameter, *parts in zip(learnt.parameters(), *(gradients for _, gradients in shards), strict=True):
        parameter.grad = torch.stack(parts).mean(0)
    nn.utils.clip_grad_norm_(learnt.parameters(), 1.0)
    optimizer.step()
    return torch.stack([terms for terms, _ in shards]).mean(0)
