"""Vision-language encoders: the shipped one, open_clip's by name and tag, or local files."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from cluster.errors import UserError, nearest
from cluster.progress import say
from pipelines.encoder.faults import LOADING, colours, default_note, reason_of
from pipelines.encoder.names import PRESETS as PRESETS, SHIPPED as SHIPPED
from pipelines.encoder.surgery import require_dense_vit

SHIPPED_FOLDER = Path(__file__).parent / "weights" / SHIPPED
CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"
# In the order in which open_clip looks for them in a model folder.
FOLDER_WEIGHTS = (
    WEIGHTS_FILE,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
)
WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


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


@dataclass(frozen=True)
class Source:
    """Where an encoder comes from; exactly one of `folder`, (`arch` and `file`), (`arch` and `tag`)."""

    folder: Path | None = None
    arch: str | None = None
    config: Path | None = None
    file: Path | None = None
    tag: str | None = None


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
    source = resolve(model, weights)
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
    source = resolve(model, weights)
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
    source = resolve(model, weights)
    try:
        arch = _register(source) if source.folder is None else f"local-dir:{source.folder}"
        tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(arch)
    except LOADING as error:
        raise UserError(
            f'The tokenizer of the encoder "{model}" can\'t be loaded: {reason_of(error)}.'
        ) from None
    return tokenizer


def weights_digest(model: str, weights: str | None = None) -> str:
    """A text that identifies an encoder's weights, without building it.

    Returns:
        `sha256:…` over the config and weights files; for a pretrained tag the string `name/tag`.

    Raises:
        UserError: as `load_encoder`, for names and files.
    """
    source = resolve(model, weights)
    if source.tag is not None:
        return f"{source.arch}/{source.tag}"
    if source.folder is not None:
        files = [source.folder / CONFIG_FILE, _weights_in(source.folder)]
    else:
        files = [path for path in (source.config, source.file) if path is not None]
    digest = hashlib.sha256()
    if source.config is None and source.arch is not None:
        digest.update(source.arch.encode())
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def resolve(model: str, weights: str | None) -> Source:
    """Tell the kind of encoder apart and check that its files exist."""
    if model == SHIPPED or Path(model).is_dir():
        if weights is not None:
            raise UserError(f'Encoder "{model}" brings its own weights; leave the weights "{weights}" out.')
        folder = SHIPPED_FOLDER if model == SHIPPED else Path(model)
        if not (folder / CONFIG_FILE).is_file():
            raise UserError(f"Encoder folder {folder} has no {CONFIG_FILE}; is it an open_clip model folder?")
        _weights_in(folder)
        return Source(folder=folder)
    if model in PRESETS:
        model, tag = PRESETS[model]
        weights = weights or tag
    config: Path | None = None
    arch = model.replace("/", "-")
    if model.endswith(".json"):
        config, arch = Path(model), Path(model).stem
        if not config.is_file():
            raise UserError(f"Encoder config {model} does not exist.")
    elif arch not in open_clip.list_models():
        raise UserError(
            f'There is no encoder "{model}"; {nearest(arch, [SHIPPED, *PRESETS, *open_clip.list_models()])}'
        )
    tags = open_clip.list_pretrained_tags_by_model(arch) if config is None else []
    if weights is None:
        hint = f"one of its tags ({', '.join(tags)}) or " if tags else ""
        raise UserError(f'Encoder "{model}" needs weights: {hint}the path of a local weights file.')
    if weights in tags:
        _require_activation(arch, weights)
        return Source(arch=arch, tag=weights)
    file = Path(weights)
    if not file.is_file():
        known = f" and no pretrained tag; {nearest(weights, tags)}" if tags else "."
        raise UserError(f'Encoder weights "{weights}" are no file{known}')
    if file.suffix not in WEIGHTS_SUFFIXES:
        raise UserError(f'Encoder weights "{weights}" must end in {", ".join(WEIGHTS_SUFFIXES)}.')
    return Source(arch=arch, config=config, file=file)


def _require_activation(arch: str, tag: str) -> None:
    """Refuse a tag whose weights were trained with the other GELU; open_clip would only warn."""
    trained = bool(open_clip.get_pretrained_cfg(arch, tag).get("quick_gelu", False))
    if trained == bool(open_clip.get_model_config(arch).get("quick_gelu", False)):
        return
    others = [name for name in open_clip.list_models() if _plain(name) == _plain(arch) and name != arch]
    raise UserError(
        f'Weights "{tag}" were trained {"with" if trained else "without"} QuickGELU, unlike the encoder'
        f' "{arch}"; {f"use {others[0]} instead" if others else "choose another tag"}.'
    )


def _plain(arch: str) -> str:
    return arch.removesuffix("-quickgelu")


def _register(source: Source) -> str:
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


def read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # ValueError: bytes, syntax, or too many digits
        raise UserError(f"Encoder config {path} is not readable JSON.") from None
    if not isinstance(document, dict):
        raise UserError(f"Encoder config {path} must hold a JSON object.")
    return document


def _weights_in(folder: Path) -> Path:
    """The weights file that a model folder must have (open_clip would pick among several)."""
    for name in FOLDER_WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"Encoder folder {folder} has no {WEIGHTS_FILE} (nor {', '.join(FOLDER_WEIGHTS[1:])}).")
