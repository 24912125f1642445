"""Exponential moving average of a model's weights, with a ramp for the first steps."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

RAMP_UPDATES = 2000  # ultralytics' tau: early averages must forget the random start


class EMA:
    """A shadow of a model whose floating tensors, buffers too, follow it: s ← d·s + (1 − d)·m.

    d = decay · (1 − exp(−updates / 2000)), as in ultralytics' `ModelEMA`.

    Args:
        model: the unwrapped model; copied.
        decay: the limit of d, in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """One optimizer step was made on `model`."""
        self.updates += 1
        d = self.decay * (1 - math.exp(-self.updates / RAMP_UPDATES))
        shadow, new = self.model.state_dict(), model.state_dict()
        floating = [key for key, tensor in shadow.items() if tensor.is_floating_point()]
        # Tied tensors stand under several keys and must move once.
        once = list({shadow[key].data_ptr(): key for key in floating}.values())
        torch._foreach_lerp_([shadow[key] for key in once], [new[key] for key in once], 1 - d)
        for key in shadow.keys() - set(floating):
            shadow[key].copy_(new[key])

    def state(self) -> dict[str, Any]:
        """The shadow and the number of updates."""
        return {"model": dict(self.model.state_dict()), "updates": self.updates}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]
