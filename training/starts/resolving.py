"""Where a training's first weights come from: one word, for backbones and detectors alike."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cluster.progress import say
from cluster.stages import Artifact
from cluster.tracking import Tracker
from pipelines.encoder import LICENCES, licence_of, written_licences
from training.models import published_origin
from training.models.detectors import published_weights
from training.released_keys import in_our_keys
from training.starts.backbone_file import BACKBONE_FILE
from training.starts.detector_file import WEIGHTS_FILE
from training.starts.model_source import open_model
from training.starts.shipped import surface_file
from training.starts.words import PUBLISHED, SUFFIXES, SURFACE
from training.weights import StateDict, load_weights


@dataclass(frozen=True)
class Start:
    """Weights before the first step of a training.

    Attributes:
        state: tensors in the keys of the library's full model.
        metadata: what the file says of itself; of published weights their licence alone.
        source: how messages name it.
        digest: hash of its content, wherever it lies.
        whole: whether it must fill the backbone; published classifiers may lack its last layers.
    """

    state: StateDict
    metadata: Mapping[str, Any]
    source: str
    digest: str
    whole: bool

    @property
    def licences(self) -> dict[str, str]:
        """Licences of the weights behind it, by whose they are."""
        return written_licences(self.metadata, self.source)


def resolve_start(word: str, name: str, tracker: Callable[[], Tracker]) -> Start:
    """The weights that a config names.

    Args:
        word: `imagenet` or `coco`, which the library publishes; `surface`, shipped for YOLOv8n; a
            .safetensors, .pt, .pth or .pth.tar file, in the library's keys or those that
            `training.released_keys` knows, or the directory of a backbone, detector or finetune stage (local
            or by URI); or `NAME@VERSION` or `NAME@ALIAS` of the registry, also as `models:/NAME@ALIAS`.
        name: the backbone or detector whose library is asked for published weights.
        tracker: opens the registry; called only when the registry is asked.

    Raises:
        UserError: nothing of that name, or it can't be read or downloaded.
    """
    if word in PUBLISHED:
        state = published_weights(name, word)
        said = f"{word} of {name}"
        metadata = {LICENCES: {said: licence_of(published_origin(name, word))}}
        return Start(state, metadata, said, f"{word}:{state_digest(state)}", whole=word != "imagenet")
    if word == SURFACE:
        word = str(surface_file())
    path = str(Path(word).expanduser()) if word.startswith("~") else word
    files = (BACKBONE_FILE, WEIGHTS_FILE)
    with open_model(path, tracker, files=files, suffixes=SUFFIXES) as source:
        state, metadata = load_weights(source.path)
        released = None if "architecture" in metadata else in_our_keys(state, name)
        if released is not None:
            say(released.sentence(source.name))
            state = released.state
        return Start(state, metadata, source.name, source.digest, whole=True)


def start_of_artifact(artifact: Artifact, file: str) -> Start:
    """The weights that a stage of this pipeline left."""
    with artifact.directory.local_copy(file) as path:
        state, metadata = load_weights(path)
    return Start(state, metadata, f"{artifact.directory.uri}/{file}", artifact.fingerprint, whole=True)


def state_digest(state: StateDict) -> str:
    """SHA-256 (hex) over keys, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    for key, tensor in sorted(state.items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
