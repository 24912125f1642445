"""The encoder's square input and its patches, by its config alone."""

from typing import Any

from cluster.errors import UserError
from pipelines.encoder.sources import CONFIG_FILE, read_json, resolve_source

PATCH_SIZE = 16  # open_clip's, where a config names none


def input_size(model: str, weights: str | None = None) -> int:
    """Pixels of the encoder's square input, without building it.

    Raises:
        UserError: as `load_encoder`, for names and files.
    """
    return _number(_vision_config(model, weights).get("image_size"), model, "image_size")


def input_patches(model: str, weights: str | None = None) -> int:
    """Patches along a side of the encoder's input, without building it.

    Raises:
        UserError: as `load_encoder`, for names and files.
    """
    config = _vision_config(model, weights)
    side = _number(config.get("image_size"), model, "image_size")
    patch = _number(config.get("patch_size", PATCH_SIZE), model, "patch_size")
    if not 0 < patch <= side:
        raise UserError(f'Encoder "{model}" has patches of {patch} pixels and an input of {side}.')
    return side // patch


def _vision_config(model: str, weights: str | None) -> dict[str, Any]:
    source = resolve_source(model, weights)
    if source.folder is not None:
        config = read_json(source.folder / CONFIG_FILE).get("model_cfg", {})
    elif source.config is not None:
        config = read_json(source.config)
    else:
        import open_clip  # brings PyTorch

        config = open_clip.get_model_config(source.arch)
    vision = config.get("vision_cfg") if isinstance(config, dict) else None
    return vision if isinstance(vision, dict) else {}


def _number(value: Any, model: str, name: str) -> int:
    try:
        return int(value[0] if isinstance(value, list) else value)
    except (TypeError, ValueError, IndexError):
        raise UserError(f'Encoder "{model}" has no vision_cfg.{name} in its config.') from None
