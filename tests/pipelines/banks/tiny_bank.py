"""Small random backbones of timm with their weights in files, and their features plainly computed."""

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from safetensors.torch import save_file

Array = npt.NDArray[np.float64]
SIDE = 64  # of the bank's images


@cache
def model_of(name: str) -> Any:
    """A random model of timm, without a classifier; its norms are no identities."""
    torch.manual_seed(7)
    options: dict[str, Any] = {"img_size": SIDE} if "vit" in name else {}
    model = timm.create_model(name, num_classes=0, **options).eval()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if value.dtype.is_floating_point and value.ndim == 1:
                value.add_(0.2 * torch.rand_like(value) * (1 if "var" in key else 0.5))
    return model


def weights_of(name: str, folder: Path) -> str:
    """A file of the model's weights."""
    file = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in model_of(name).state_dict().items()}, file)
    return str(file)


def raw_levels(name: str, images: Array, levels: tuple[int, ...]) -> list[Array]:
    """Feature maps (B, D, h, w) by hooks or stages of timm's own feature extractor, in float64.

    Args:
        images: (B, 3, SIDE, SIDE) in 0…1.
    """
    config = model_of(name).pretrained_cfg
    mean, std = (np.array(config[key])[:, None, None] for key in ("mean", "std"))
    options: dict[str, Any] = {"img_size": SIDE} if "vit" in name else {}
    extractor = timm.create_model(name, features_only=True, out_indices=levels, **options).eval()
    state = model_of(name).state_dict()
    prefix = "model." if any(key.startswith("model.") for key in extractor.state_dict()) else ""
    wanted = extractor.state_dict()
    given = {f"{prefix}{key}": value for key, value in state.items() if f"{prefix}{key}" in wanted}
    if not given.keys() >= wanted.keys():  # lists of stages are flat: stages.0 is called stages_0
        flat = {key.replace(".", "_"): value for key, value in state.items()}
        given = {key: flat[key.replace(".", "_")] for key in wanted}
    extractor.load_state_dict(given)
    with torch.inference_mode():
        maps = extractor.double()(torch.from_numpy((images - mean) / std))
    if getattr(extractor, "output_fmt", "NCHW") == "NHWC":
        maps = [one.permute(0, 3, 1, 2) for one in maps]
    return [one.numpy() for one in maps]


def patches(feature_map: Array) -> Array:
    """(h, w, D): mean direction of each place and its neighbours that exist, of length 1; of (D, h, w)."""
    _, height, width = feature_map.shape
    out = np.empty((height, width, len(feature_map)))
    for y, x in itertools.product(range(height), range(width)):
        around = feature_map[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        mean = (around / np.linalg.norm(around, axis=0)).mean((1, 2))
        out[y, x] = mean / np.linalg.norm(mean)
    return out


def bilinear(values: Array, grid: int) -> Array:
    """(s, s) to (grid, grid): half-pixel centres, edges repeated."""
    side = len(values)
    if side == grid:
        return values
    at = np.clip((np.arange(grid) + 0.5) * side / grid - 0.5, 0, side - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, side - 1)
    part = at - low
    rows = values[low] * (1 - part)[:, None] + values[high] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, high] * part)


def nearest(level: Array, bank: Array) -> Array:
    """(h, w): each patch's `½(1 − p·r)` to the nearest of the bank, (R, D)."""
    return np.asarray((0.5 * (1 - level @ bank.T)).min(-1))
