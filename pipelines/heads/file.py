"""A head's file: its tensors, and what it was trained for and on; a head that does not fit is refused."""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError, field_serializer
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cluster.config import Section
from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.heads.section import HeadMethod

HEAD_FILE = "head.safetensors"
KEY = "agssp"  # the one entry of the safetensors header that holds our JSON
MOST_BYTES = 1 << 30


class HeadRecord(Section):
    """What a head's file says of itself.

    Attributes:
        method: the map method that the head is of.
        features: what decides its features, see `HeadFeatures.identity`.
        lineage: fingerprints of what it was trained on.
        images: content ids of the images whose labels it was trained on; none of `painted`.
    """

    method: HeadMethod
    features: dict[str, Any]
    lineage: dict[str, str | None]
    images: frozenset[str] = frozenset()

    @field_serializer("images")
    def _in_order(self, images: frozenset[str]) -> list[str]:
        return sorted(images)


@dataclass(frozen=True)
class HeadPlace:
    """Where a head's file lies: a folder or URI, and the name in it."""

    folder: str
    name: str

    @classmethod
    def of(cls, location: str) -> "HeadPlace":
        """The place of a path or URI."""
        folder, slash, name = location.rstrip("/").rpartition("/")
        return cls(folder + slash if slash else ".", name)


def save_head(directory: Storage, name: str, state: Mapping[str, Tensor], record: HeadRecord) -> None:
    """Write a head's tensors and record, whole or not at all.

    Args:
        directory: the stage's directory.
        name: the file's name.
        state: the head's state dict.
        record: what it is.
    """
    copies = {key: tensor.detach().to("cpu", copy=True).contiguous() for key, tensor in state.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / HEAD_FILE
        save_file(copies, path, metadata={KEY: json.dumps(record.model_dump(mode="json"), sort_keys=True)})
        directory.write(name, path.read_bytes())


def head_digest(location: str) -> str:
    """`sha256:…` of a head's file.

    Raises:
        UserError: there is no such file, or it is too large to be a head.
    """
    place = HeadPlace.of(location)
    _require(location)
    return f"sha256:{hashlib.sha256(Storage.open(place.folder).read(place.name)).hexdigest()}"


def read_head(location: str, method: HeadMethod) -> tuple[HeadRecord, dict[str, Tensor]]:
    """The record and the tensors of a head's file.

    Raises:
        UserError: no such file, no head, one of another method, or a tensor with NaN or infinite values.
    """
    _require(location)
    place = HeadPlace.of(location)
    again = f"train it again with: agssp train maps --method {method}"
    with Storage.open(place.folder).local_copy(place.name) as path:
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                header: dict[str, str] = file.metadata() or {}
                state = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 (no dict)
        except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"The head {location} is not a complete safetensors file ({reason:.160}); {again}."
            ) from None
    try:
        record = HeadRecord.model_validate(json.loads(header[KEY]))
    except (KeyError, ValueError, RecursionError, ValidationError):
        raise UserError(
            f"{location} is no head of a map method: it does not say what it was trained for; {again}."
        ) from None
    if record.method != method:
        raise UserError(
            f"The head {location} is of maps.method={record.method}, and maps.method is {method}; choose "
            f"that method, or {again}."
        )
    for key, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.float()).all()):
            raise UserError(f'The head {location}: tensor "{key}" holds NaN or infinite values; {again}.')
    return record, state


def require_features(location: str, record: HeadRecord, features: Mapping[str, Any]) -> None:
    """Refuse a head that was trained on other features than those that it would read.

    Raises:
        UserError: encoder, layers, levels or size differ; it says which.
    """
    differing = sorted(
        name for name in {*record.features, *features} if record.features.get(name) != features.get(name)
    )
    if differing:
        told = "; ".join(
            f"{name} {record.features.get(name)!s:.80} in the file, {features.get(name)!s:.80} in the config"
            for name in differing
        )
        raise UserError(
            f"The head {location} was trained on other features ({told}); give the settings that it was "
            "trained with, or train one for these."
        )


def fill(location: str, head: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a file's tensors into a head.

    Raises:
        UserError: a tensor is missing, not part of the head, or of another shape.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in head.state_dict().items()}
    given = {key: tuple(tensor.shape) for key, tensor in state.items()}
    if wanted != given:
        odd = min(key for key in {*wanted, *given} if wanted.get(key) != given.get(key))
        raise UserError(
            f'The head {location} does not fit these features: tensor "{odd}" is {given.get(odd, "absent")} '
            f"where {wanted.get(odd, 'none')} belongs; train it again."
        )
    head.load_state_dict(dict(state))


def _require(location: str) -> None:
    place = HeadPlace.of(location)
    storage = Storage.open(place.folder)
    file = storage.filesystem.get_file_info(f"{storage.path}/{place.name}")
    if not file.is_file:
        raise UserError(f"There is no head at {location}; agssp train maps makes one and says where it is.")
    if file.size > MOST_BYTES:
        raise UserError(f"{location} has {file.size:,} bytes, too many for a head; give another file.")
