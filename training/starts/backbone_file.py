"""A backbone as one safetensors file that its own library loads, and that says what it is."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.encoder import LICENCES
from training.models import canonical
from training.models.backbones import Backbone, build
from training.weights import StateDict, check_whole, load_weights, save_weights
from training.weights.transfer import transfer

BACKBONE_FILE = "backbone.safetensors"
KIND = "backbone"
BEYOND = "tensors_beyond_the_backbone"


def save_backbone(
    backbone: Backbone,
    directory: Storage,
    name: str,
    *,
    image_size: int,
    lineage: Mapping[str, str],
    beyond: StateDict | None = None,
    licences: Mapping[str, str] | None = None,
) -> None:
    """Write the backbone's weights, in its library's keys, with metadata.

    Args:
        backbone: the backbone, on any device.
        directory: target.
        name: the file's name.
        image_size: pixels of the square it was trained on.
        lineage: fingerprints of its sources, by name.
        beyond: neck and head of the detector it was taken from; they go into the same file.
        licences: licences of the weights behind it, by whose they are.
    """
    beyond = beyond or {}
    metadata = {
        "kind": KIND,
        BEYOND: len(beyond),
        "architecture": backbone.name,
        "preprocessing": {
            "size": image_size,
            "resize": "square",
            "mean": list(backbone.mean),
            "std": list(backbone.std),
        },
        "lineage": dict(lineage),
        LICENCES: dict(licences or {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / BACKBONE_FILE  # `name` may hold folders
        save_weights(local, {**beyond, **backbone.library_state_dict()}, metadata)
        directory.put(local, name)


def load_backbone(path: Path) -> Backbone:
    """Rebuild a backbone without neck and head from a file of `save_backbone`, on the CPU, in eval mode.

    Raises:
        UserError: no such file, not safetensors, not a backbone of ours, or weights that don't fit what the
            file says of itself.
    """
    state, metadata = load_weights(path)
    name = metadata.get("architecture")
    if metadata.get("kind") != KIND or not isinstance(name, str):
        raise UserError(
            f"Weights file {path} is not a backbone made here (its metadata does not name one); use the "
            f"{BACKBONE_FILE} of a backbone stage."
        )
    backbone = build(canonical(name))
    backbone_state = backbone.library_state_dict()
    beyond = state.keys() - backbone_state.keys()
    if len(beyond) == metadata.get(BEYOND):
        state = {key: tensor for key, tensor in state.items() if key in backbone_state}
    check_whole(path, state, backbone_state, name=name, remedy="export it again")
    transfer(backbone.library, state, part_of=lambda key: KIND)
    return backbone.eval()
