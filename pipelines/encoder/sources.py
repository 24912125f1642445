"""The files or the pretrained tag that an encoder is made of; for files no model library is imported."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import UserError, nearest
from pipelines.encoder.names import PRESETS, SHIPPED

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
class EncoderSource:
    """Where an encoder comes from; exactly one of `folder`, (`arch` and `file`), (`arch` and `tag`)."""

    folder: Path | None = None
    arch: str | None = None
    config: Path | None = None
    file: Path | None = None
    tag: str | None = None


def weights_digest(model: str, weights: str | None = None) -> str:
    """A text that identifies an encoder's weights, without building it.

    Returns:
        `sha256:…` over the config and weights files; for a pretrained tag the string `name/tag`.

    Raises:
        UserError: as `load_encoder`, for names and files.
    """
    source = resolve_source(model, weights)
    if source.tag is not None:
        return f"{source.arch}/{source.tag}"
    if source.folder is not None:
        files = [source.folder / CONFIG_FILE, weights_in(source.folder)]
    else:
        files = [path for path in (source.config, source.file) if path is not None]
    digest = hashlib.sha256()
    if source.config is None and source.arch is not None:
        digest.update(source.arch.encode())
    for path in files:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def resolve_source(model: str, weights: str | None) -> EncoderSource:
    """Tell the kind of encoder apart and check that its files exist."""
    if model == SHIPPED or Path(model).is_dir():
        if weights is not None:
            raise UserError(f'Encoder "{model}" brings its own weights; leave the weights "{weights}" out.')
        folder = SHIPPED_FOLDER if model == SHIPPED else Path(model)
        if not (folder / CONFIG_FILE).is_file():
            raise UserError(f"Encoder folder {folder} has no {CONFIG_FILE}; is it an open_clip model folder?")
        weights_in(folder)
        return EncoderSource(folder=folder)
    if model in PRESETS:
        model, tag = PRESETS[model]
        weights = weights or tag
    import open_clip  # brings PyTorch

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
        return EncoderSource(arch=arch, tag=weights)
    file = Path(weights)
    if not file.is_file():
        known = f" and no pretrained tag; {nearest(weights, tags)}" if tags else "."
        raise UserError(f'Encoder weights "{weights}" are no file{known}')
    if file.suffix not in WEIGHTS_SUFFIXES:
        raise UserError(f'Encoder weights "{weights}" must end in {", ".join(WEIGHTS_SUFFIXES)}.')
    return EncoderSource(arch=arch, config=config, file=file)


def _require_activation(arch: str, tag: str) -> None:
    """Refuse a tag whose weights were trained with the other GELU; open_clip would only warn."""
    import open_clip

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


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of an encoder's config.

    Raises:
        UserError: no readable JSON, or no object.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):  # ValueError: bytes, syntax, or too many digits
        raise UserError(f"Encoder config {path} is not readable JSON.") from None
    if not isinstance(document, dict):
        raise UserError(f"Encoder config {path} must hold a JSON object.")
    return document


def weights_in(folder: Path) -> Path:
    """The weights file that a model folder must have (open_clip would pick among several)."""
    for name in FOLDER_WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"Encoder folder {folder} has no {WEIGHTS_FILE} (nor {', '.join(FOLDER_WEIGHTS[1:])}).")
