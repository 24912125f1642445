"""The start `surface`: a detector that AGDP pretrained on generated surfaces alone, in half the precision."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cluster.errors import UserError
from training.starts.detector_file import WEIGHTS_FILE
from training.starts.words import SURFACE
from training.weights import load_weights, save_weights

SHIPPED = Path(__file__).parent / SURFACE / WEIGHTS_FILE
LICENCE = "AGPL-3.0-or-later"  # this project's, as no other data or weights are in it


def surface_file() -> Path:
    """The shipped weights.

    Raises:
        UserError: this version is shipped without them.
    """
    if not SHIPPED.is_file():
        raise UserError(
            "This version is shipped without the weights of the start surface; make them with agssp train "
            f"start --out FOLDER, and name FOLDER/{WEIGHTS_FILE} in finetune.weights or as detector.start."
        )
    return SHIPPED


def surface_digest() -> str | None:
    """SHA-256 (hex) of the shipped weights; None of a version without them."""
    if not SHIPPED.is_file():
        return None
    with SHIPPED.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_start(source: Path, target: Path, made: Mapping[str, Any]) -> str:
    """Write a detector's weights again, matrices and filters as float16, with what made them.

    Vectors, the statistics of batch norms among them, keep their type: they are small, and a variance may lie
    outside of float16.

    Args:
        source: file of `save_detector`.
        target: the file to write.
        made: JSON values that go into the metadata, beside those of the source.

    Returns:
        SHA-256 (hex) of the file.

    Raises:
        UserError: a weight that float16 can't hold.
    """
    state, metadata = load_weights(source)
    packed = {}
    for key, tensor in state.items():
        packed[key] = tensor.half() if tensor.ndim > 1 and tensor.is_floating_point() else tensor
        if packed[key].is_floating_point() and not bool(torch.isfinite(packed[key]).all()):
            raise UserError(f'Weights file {source}: tensor "{key}" is too large for float16; train it anew.')
    save_weights(target, packed, {**metadata, **made, "licence": LICENCE})
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
