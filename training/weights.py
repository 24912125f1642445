"""Weights in safetensors files with JSON metadata, and moving them into models part by part."""

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cluster.errors import UserError
from training.pickled_weights import SUFFIXES as PICKLED
from training.pickled_weights import read_pickled

METADATA_KEY = "agssp"  # the one entry of the safetensors header that holds our JSON

StateDict = dict[str, Tensor]


def save_weights(path: Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write a plain state dict as safetensors, whole or not at all.

    Args:
        path: local file; its directory exists.
        state_dict: tensors of any shape, dtype and device; tied ones are written as copies.
        metadata: JSON-able: architecture, class names, preprocessing, lineage.
    """
    copies = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in state_dict.items()}
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(copies, partial, metadata={METADATA_KEY: json.dumps(metadata, sort_keys=True)})
    partial.replace(path)


def load_weights(path: Path) -> tuple[StateDict, dict[str, Any]]:
    """Read a safetensors file, ours or another tool's, or a `.pt` or `.pth` file (see `read_pickled`).

    Returns:
        The tensors on the CPU in the dtypes of the file, and the metadata given to `save_weights` (for a file
        of another tool: its header's own strings; none in `.pt` and `.pth` files).

    Raises:
        UserError: missing, not such a file, truncated, a header that is absurd or not ours to read, a tensor
            with NaN or infinite values, or no tensor at all.
    """
    if not path.is_file():
        state = "is not a file" if path.exists() else "does not exist"
        raise UserError(f"Weights file {path} {state}; give the path of a .safetensors file.")
    pickled = path.suffix in PICKLED
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


@dataclass(frozen=True)
class PartCount:
    """How much of one part of a model was filled.

    Attributes:
        tensors, of_tensors: entries of the state dict (buffers included), filled and in all.
        parameters, of_parameters: their learnable numbers, filled and in all.
    """

    tensors: int
    of_tensors: int
    parameters: int
    of_parameters: int


@dataclass(frozen=True)
class Mismatch:
    """A tensor that both sides have with different shapes; the model keeps its own."""

    key: str
    wanted: tuple[int, ...]
    given: tuple[int, ...]


@dataclass(frozen=True)
class TransferReport:
    """What `transfer` did.

    Attributes:
        parts: by part name, those asked for.
        mismatched: tensors left out for their shape.
        missing: the model's keys in those parts that the state dict lacks.
        unused: the state dict's keys that the model, or the parts asked for, have no place for.
    """

    parts: Mapping[str, PartCount]
    mismatched: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def summary(self) -> str:
        """One line, e.g. `backbone 157/157 tensors (1,272,656 parameters), head 30/36 tensors (…)`."""
        counts = [
            f"{name} {count.tensors}/{count.of_tensors} tensors ({count.parameters:,} parameters)"
            for name, count in self.parts.items()
        ]
        shapes = f"; {len(self.mismatched)} of another shape left out" if self.mismatched else ""
        return ", ".join(counts) + shapes


def transfer(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    part_of: Callable[[str], str],
    only: Collection[str] | None = None,
) -> TransferReport:
    """Fill a model from a state dict where keys and shapes agree, casting to the model's dtypes.

    Args:
        model: filled in place.
        state: in the model's own keys; it may hold more or less than the model.
        part_of: names the part (`backbone`, `neck`, `head`) that a key of the model belongs to.
        only: the parts to fill; None fills all.

    Raises:
        UserError: no learnable number was filled.
    """
    learnable = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    own = model.state_dict()
    tally: dict[str, list[int]] = {}
    filled: StateDict = {}
    mismatched: list[Mismatch] = []
    missing: list[str] = []
    for key, target in own.items():
        part = part_of(key)
        if only is not None and part not in only:
            continue
        count = tally.setdefault(part, [0, 0, 0, 0])
        size = target.numel() if key in learnable else 0
        count[1] += 1
        count[3] += size
        source = state.get(key)
        if source is None:
            missing.append(key)
        elif source.shape != target.shape:
            mismatched.append(Mismatch(key, tuple(target.shape), tuple(source.shape)))
        else:
            filled[key] = source.to(target.dtype)
            count[0] += 1
            count[2] += size
    if not any(count[2] for count in tally.values()):
        raise UserError(
            f"The weights fill nothing of the model's {' and '.join(tally)}"
            f"{_example(mismatched, state, own)}; choose a start of the same architecture."
        )
    model.load_state_dict(filled, strict=False)
    unplaced = {mismatch.key for mismatch in mismatched} | set(filled)
    return TransferReport(
        parts={name: PartCount(*count) for name, count in tally.items()},
        mismatched=tuple(mismatched),
        missing=tuple(missing),
        unused=tuple(sorted(set(state) - unplaced)),
    )


def _example(mismatched: list[Mismatch], state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    if mismatched:
        first = mismatched[0]
        return f" ({first.key} has shape {first.given}, the model's {first.wanted})"
    return f" (theirs are named like {next(iter(state), 'nothing')}, the model's like {next(iter(own))})"
