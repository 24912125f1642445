"""Vision-language encoders: the shipped one, open_clip's by name and tag, or local files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from cluster.progress import say
from pipelines.encoder.faults import LOADING, colours, default_note, reason_of
from pipelines.encoder.sources import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    EncoderSource,
    read_json,
    resolve_source,
    weights_digest,
)
from pipelines.encoder.surgery import require_dense_vit


@dataclass(frozen=True)
class LoadedEncoder:
    """An encoder ready for KeAD, in evaluation mode, float32.

    Attributes:
        model: open_clip's CLIP, with `visual`, `encode_image`, `encode_text`.
        tokenizer: list of sentences to (n, context) int64.
        image_size: pixels of the square input's side.
        mean, std: mean and deviation per RGB channel, for images in 0…1.
        name: model's name, and that of the weights where given.
        digest: result of `weights_digest`.
    """

    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    name: str
    digest: str

    @property
    def visual(self) -> Any:
        """The image tower."""
        return self.model.visual

    def encode_text(self, tokens: Tensor) -> Tensor:
        """L2-normalised (n, D) embeddings of (n, context) tokens."""
        model: Any = self.model
        embeddings: Tensor = model.encode_text(tokens, normalize=True)
        return embeddings


def load_encoder(model: str, weights: str | None = None, *, device: str = "cpu") -> LoadedEncoder:
    """Load an encoder with open_clip's own loading code.

    Args:
        model: `surface-clip` (shipped), a preset (`PRESETS`), a folder with `open_clip_config.json` and
            weights, an open_clip model name, or the path of an open_clip model JSON.
        weights: pretrained tag (which may be downloaded) or local weights file, for a name or JSON; a
            preset's own tag when left out.
        device: torch device.

    Raises:
        UserError: unknown name or tag, missing file, weights that don't fit or were trained with another
            activation, no ViT with patch embeddings, a mean or deviation that is none.
    """
    source = resolve_source(model, weights)
    name = model if weights is None else f"{model}/{weights}"
    try:
        target = torch.device(device)
        if source.folder is not None:
            arch = f"local-dir:{source.folder}"
            clip = open_clip.create_model(arch, device=target, weights_only=True, require_pretrained=True)
        else:
            arch = _register(source)
            pretrained = source.tag or str(source.file)
            clip = open_clip.create_model(
                arch, pretrained, device=target, weights_only=True, require_pretrained=True
            )
        tokenizer = open_clip.get_tokenizer(arch)
    except LOADING as error:
        raise UserError(
            f'Encoder "{name}" can\'t be loaded: {reason_of(error)}; check that weights and model belong '
            "together."
        ) from None
    visual = clip.visual
    require_dense_vit(visual)
    preprocess = clip.visual.preprocess_cfg
    mean, std = (colours(preprocess, key, name) for key in ("mean", "std"))
    say_normalisation(model, weights)
    return LoadedEncoder(
        model=clip.eval().float().requires_grad_(False),
        tokenizer=tokenizer,
        image_size=int(visual.image_size[0]),
        mean=mean,
        std=std,
        name=name,
        digest=weights_digest(model, weights),
    )


@cache
def say_normalisation(model: str, weights: str | None = None) -> None:
    """Say, once in a process, which mean and std are taken where nothing is given with the weights.

    Raises:
        UserError: as `load_encoder`, for names and files.
    """
    source = resolve_source(model, weights)
    if source.tag is None:
        config = {} if source.folder is None else read_json(source.folder / CONFIG_FILE)
        name = model if weights is None else f"{model}/{weights}"
        if note := default_note(name, config.get("preprocess_cfg")):
            say(note)


def tokenizer_of(model: str, weights: str | None = None) -> Callable[[list[str]], Tensor]:
    """The encoder's tokenizer, without its weights.

    Args:
        model, weights: see `load_encoder`.

    Raises:
        UserError: as `load_encoder`, for names and files; a tokenizer that can't be loaded.
    """
    source = resolve_source(model, weights)
    try:
        arch = _register(source) if source.folder is None else f"local-dir:{source.folder}"
        tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(arch)
    except LOADING as error:
        raise UserError(
            f'The tokenizer of the encoder "{model}" can\'t be loaded: {reason_of(error)}.'
        ) from None
    return tokenizer


def _register(source: EncoderSource) -> str:
    """Register a local JSON with open_clip under its stem; returns the architecture's name."""
    assert source.arch is not None
    if source.config is None:
        return source.arch
    config = read_json(source.config)
    if "model_cfg" in config or "preprocess_cfg" in config:
        raise UserError(
            f"Encoder config {source.config} has model_cfg or preprocess_cfg as a model folder's: name it "
            f"{CONFIG_FILE}, put the weights beside it as {WEIGHTS_FILE}, and give the folder."
        )
    if any(key not in config for key in ("embed_dim", "vision_cfg", "text_cfg")):
        raise UserError(f"Encoder config {source.config} lacks embed_dim, vision_cfg or text_cfg.")
    if source.arch not in open_clip.list_models():
        open_clip.add_model_config(source.config)
    elif open_clip.get_model_config(source.arch) != config:
        # open_clip's registry is keyed by stem, so the file would silently replace the other model.
        raise UserError(
            f'Encoder config {source.config} has the name of another model, "{source.arch}"; rename it.'
        )
    return source.arch
