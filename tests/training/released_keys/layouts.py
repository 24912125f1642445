"""Tensors in the layout of a published checkpoint, their values made of key and place alone."""

import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent


def layout(name: str) -> dict[str, tuple[int, ...]]:
    """Shapes by key, as a model of the tool has them: lines `key height width …` of `NAME.txt`."""
    shapes = {}
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        key, *sides = line.split()
        shapes[key] = tuple(int(side) for side in sides)
    return shapes


def drawn(key: str, shape: tuple[int, ...]) -> Tensor:
    """Float32 values of a size that keeps a network's maps near 1; counts of batches are int64 zeros."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    seed = zlib.crc32(key.encode())
    places = torch.arange(math.prod(shape), dtype=torch.float64)
    wave = torch.sin(places * (0.7 + seed % 1000 / 1000) + seed % 628 / 100).reshape(shape)
    if key.endswith("running_var"):
        wave = 1 + 0.5 * wave
    elif len(shape) > 1:
        wave = wave * math.sqrt(2 / math.prod(shape[1:]))
    else:
        wave = 1 + 0.3 * wave if key.endswith("weight") else 0.1 * wave
    return wave.float()


def checkpoint(name: str) -> dict[str, Tensor]:
    """All tensors of a layout."""
    return {key: drawn(key, shape) for key, shape in layout(name).items()}


def picture(side: int) -> Tensor:
    """A batch of one image, (1, 3, side, side) float32 in [0, 1]."""
    return drawn("image", (1, 3, side, side)).mul(math.sqrt(3 * side * side / 2)).add(1).div(2)


def figures(maps: Mapping[str, Tensor]) -> dict[str, tuple[float, ...]]:
    """Mean, deviation and three values of each map."""
    found = {}
    for name, x in maps.items():
        flat = x.detach().double().flatten()
        picked = [flat[place % len(flat)] for place in (0, 1009, 4001)]
        found[name] = tuple(round(float(one), 6) for one in (flat.mean(), flat.std(), *picked))
    return found
