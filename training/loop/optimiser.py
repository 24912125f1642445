"""How weights move: the optimizer with its parameter groups, and the learning rate by step."""

import inspect
import math
from typing import Any, TypeVar, cast

import torch
from torch import nn

from cluster.errors import UserError
from training.loop.section import LoopSettings
from training.models import PartedModel

OptimizerT = TypeVar("OptimizerT", bound=torch.optim.Optimizer)


def optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.Optimizer:
    """The optimizer of the model's parameters that learn; vectors and scalars (biases, norms) don't decay.

    The `scale` of a group is a factor of the rate. AdamW's fused kernels take half the time of its loops over
    tensors on a CPU.

    Raises:
        UserError: `layer_decay` for a model that doesn't know its layers.
    """
    scales = _scales(model, settings.layer_decay) if settings.layer_decay is not None else {}
    groups_by_key: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups_by_key.setdefault((scales.get(id(parameter), 1.0), parameter.ndim > 1), []).append(
                parameter
            )
    groups = [
        {
            "params": groups_by_key[key],
            "scale": key[0],
            "weight_decay": settings.weight_decay if key[1] else 0.0,
        }
        for key in sorted(groups_by_key, reverse=True)
    ]
    if settings.optimizer == "adamw":
        return eager(torch.optim.AdamW)(groups, lr=settings.lr, betas=(settings.momentum, 0.999), fused=True)
    # Not fused: where fp16 skips the first step, its momentum begins with what memory held (PyTorch 2.15).
    return eager(torch.optim.SGD)(
        groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0
    )


def eager(kind: type[OptimizerT]) -> type[OptimizerT]:
    """An optimizer that is never compiled; its numbers and its state are the kind's own.

    PyTorch wraps these methods lest its compiler follow them, and imports the compiler in the first call: two
    seconds of each training's start.
    """
    wrapped = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in wrapped}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast("type[OptimizerT]", type(kind.__name__, (kind,), methods))


def _scales(model: nn.Module, decay: float) -> dict[int, float]:
    """Factors of the rate by the parameter's id: decay to the power of its layer's depth below the head."""
    if not isinstance(model, PartedModel):
        raise UserError(
            "layer_decay is for detectors and segmenters, whose backbone has layers; leave it out."
        )
    layers = model.backbone_layers()
    return {
        id(parameter): decay ** (len(layers) - place)
        for place, layer in enumerate(layers)
        for parameter in layer
    }


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
