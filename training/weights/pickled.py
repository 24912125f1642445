"""PyTorch's `.pt` and `.pth` files, read without running any code in them."""

import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor
from torch.serialization import safe_globals

from cluster.errors import UserError
from training.weights.pickled_classes import classes_in

SUFFIXES = (".pt", ".pth", ".pth.tar")
# Where training scripts put the state dict; averaged weights first, as they are the better ones. mmengine's
# `ema_state_dict` is none of them: its hook swaps both when it saves, so that `state_dict` is the average.
PLACES = ("state_dict_ema", "model_ema", "ema", "module", "state_dict", "model")
FAULTS = (
    *(OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError),
    *(UnpicklingError, zipfile.BadZipFile, MemoryError, RecursionError, OverflowError, AssertionError),
)
CONVERSION = 'torch.save(torch.load("FILE", weights_only=False)["state_dict"], "plain.pth")'


class StandIn:
    """Replaces every class that a file names and PyTorch doesn't deem harmless; it only stores its state."""

    def __new__(cls, *args: object, **kwargs: object) -> "StandIn":
        """Arguments are ignored."""
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, Mapping):
            self.__dict__.update(state)


class MappingStandIn:
    """The same for classes whose objects are filled by key; PyTorch fills none but its own kinds of dict."""

    def __new__(cls, *args: object, **kwargs: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        """An empty mapping; arguments are ignored."""
        return OrderedDict()


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of `torch.save`: a plain one, a training's checkpoint, or a whole saved model.

    A whole model, such as ultralytics' files hold, is never rebuilt: its classes are replaced by inert ones,
    and only its tensors are taken out, as `model.state_dict()` would name them.

    Args:
        path: an existing file of `torch.save`, of the form since PyTorch 1.6 or of the one before, in which
            mmdet and mmyolo still publish.

    Raises:
        UserError: not such a file, truncated, or no state dict in it.
    """
    try:
        classes = classes_in(path)
        inert: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
            (MappingStandIn if name in classes.mappings else StandIn, name) for name in classes.named
        ]
        with safe_globals(inert):
            content = torch.load(path, map_location="cpu", weights_only=True)
        state = _state(content)
    except FAULTS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"Weights file {path} can't be read without running code ({reason:.200}); if you trust it, take "
            f"its state dict out where the tool that wrote it is installed, {CONVERSION}, and give that."
        ) from None
    if not state:
        raise UserError(
            f"Weights file {path} holds no state dict, at its top or under {', '.join(PLACES)}; save "
            "model.state_dict() as .safetensors and give that."
        )
    return state


def _state(content: Any) -> dict[str, Tensor]:
    if isinstance(content, StandIn):
        return dict(_entries(content, ""))
    if not isinstance(content, Mapping):
        return {}
    for place in PLACES:
        if state := _state(content.get(place)):
            return state
    return {
        str(key): tensor.detach().clone() for key, tensor in content.items() if isinstance(tensor, Tensor)
    }


def _entries(module: StandIn, prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Parameters and lasting buffers of a saved `nn.Module`, named as its state dict names them."""
    data = module.__dict__
    passing = data.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, tensor in (data.get(kind) or {}).items():
            if isinstance(tensor, Tensor) and not (kind == "_buffers" and name in passing):
                yield f"{prefix}{name}", tensor.detach().clone()
    for name, child in (data.get("_modules") or {}).items():
        if isinstance(child, StandIn):
            yield from _entries(child, f"{prefix}{name}.")
