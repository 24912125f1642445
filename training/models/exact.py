"""Where bf16 and fp16 end: coordinates and losses are computed in float32.

A number of bfloat16 has eight significant bits: pixels beyond 512 come in steps of four.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def exactly(device: torch.device) -> AbstractContextManager[Any]:
    """A block without autocast; where there is none nothing is done, so that exporters see nothing of it."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def float32(outputs: Any) -> Any:
    """The same dicts, lists and tuples with their floating tensors in float32; all else as it is."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.is_floating_point() else outputs
    if isinstance(outputs, dict):
        return {key: float32(value) for key, value in outputs.items()}
    if isinstance(outputs, list | tuple):
        return type(outputs)(float32(value) for value in outputs)
    return outputs


def in_float32(loss_function: Callable[..., Any]) -> Callable[..., Any]:
    """The same loss without autocast, its arguments in float32."""

    def exact(logits: Tensor, *arguments: Any, **more: Any) -> Any:
        with exactly(logits.device):
            return loss_function(*float32((logits, *arguments)), **float32(more))

    return exact
