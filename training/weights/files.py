"""Weights in safetensors files with JSON metadata, and moving them into models part by part."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from cluster.errors import UserError
from training.weights.pickled import SUFFIXES as PICKLED, read_pickled

METADATA_KEY = "agssp"  # the one entry of the safetensors header that holds our JSON

StateDict = dict[str, Tensor]


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write a plain state dict as safetensors, whole or not at all.

    Args:
        path: local file; its directory exists.
        state_dict: tensors of any shape, dtype and device; tied ones are written as copies.
        metadata: JSON values: architecture, class names, preprocessing, lineage.
    """
    copies = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in state_dict.items()}
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(copies, partial, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    partial.replace(path)


def load_weights(path: Path) -> tuple[StateDict, dict[str, Any]]:
    """Read a safetensors file, ours or another tool's, or a file of `torch.save` (see `read_pickled`).

    Returns:
        The tensors on the CPU in the dtypes of the file, and the metadata given to `save_weights` (for a file
        of another tool: its header's own strings; none in PyTorch's own files).

    Raises:
        UserError: missing, not such a file, truncated, a header that is absurd or not ours to read, a tensor
            with NaN or infinite values, or no tensor at all.
    """
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise UserError(f"Weights file {path} {state}; give the path of a .safetensors file.")
    pickled = path.name.endswith(PICKLED)
    tensors, metadata = (read_pickled(path), {}) if pickled else _read_safetensors(path)
    for key, tensor in tensors.items():
        # Through float32, as float8 types have no isfinite of their own.
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise UserError(
                f'Weights file {path}: tensor "{key}" holds NaN or infinite values; train it again.'
            )
    return tensors, metadata


def _read_safetensors(path: Path) -> tuple[StateDict, dict[str, Any]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header: dict[str, str] = file.metadata() or {}
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"Weights file {path} is not a complete safetensors file ({reason}); export or copy it again."
        ) from None
    if not tensors:
        raise UserError(f"Weights file {path} holds no tensors; export it again.")
    return tensors, _metadata(header, path)


def _metadata(header: dict[str, str], path: Path) -> dict[str, Any]:
    if METADATA_KEY not in header:
        return dict(header)
    try:
        metadata = json.loads(header[METADATA_KEY])
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise UserError(
            f"Weights file {path}: its {METADATA_KEY} metadata is not a JSON mapping; export it again."
        )
    return metadata


def check_whole(
    path: Path,
    state: StateDict,
    model_state: StateDict,
    *,
    name: str,
    remedy: str,
    classes: int | None = None,
) -> None:
    """Prove that a file's tensors are a model's, each of its shape.

    Args:
        path: the file, for the user.
        state: the file's tensors.
        model_state: the model's tensors.
        name: the model's architecture, for the user.
        remedy: what the user can do, e.g. "export it again".
        classes: the model's number of classes, which decides shapes.

    Raises:
        UserError: a tensor is missing, not part of the model, or of another shape.
    """
    if model_state.keys() != state.keys():
        odd = min(model_state.keys() ^ state.keys())
        raise UserError(
            f'Weights file {path} is not a whole {name} (tensor "{odd}" is '
            f"{'missing' if odd in model_state else 'not part of it'}); {remedy}."
        )
    for key, tensor in state.items():
        if tensor.shape != model_state[key].shape:
            of_classes = "" if classes is None else f" for {classes} classes"
            raise UserError(
                f'Weights file {path}: tensor "{key}" has shape {tuple(tensor.shape)} where '
                f"{name}{of_classes} has {tuple(model_state[key].shape)}; {remedy}."
            )
