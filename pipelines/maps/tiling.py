"""Tiled images through a map method: one map and one score an image, banks of tiled references."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cluster.errors import UserError
from pipelines.banks import thinned
from pipelines.encoder import CategoryPrompts
from pipelines.images import taper
from pipelines.maps.method import CategoryState, MapMethod
from pipelines.maps.tile_plan import EncoderInput, TilePlan, tile_plan
from pipelines.maps.tile_section import TileSettings

Pixels = npt.NDArray[np.uint8]
CANDIDATES = 16_384  # patches of a category's references that a bank is chosen from, as whole tiles


@dataclass(frozen=True)
class TiledImage:
    """One image on its way to the encoder.

    Attributes:
        pixels: result of `TilePlan.resized`.
        plan: its tiles.
        state: its category's.
    """

    pixels: Pixels
    plan: TilePlan
    state: CategoryState


@dataclass(frozen=True)
class TiledMap:
    """One image's result.

    Attributes:
        score: mean of the scores of the most anomalous tiles.
        map: (rows, columns) float32.
    """

    score: float
    map: npt.NDArray[np.float32]


def tiled_image(method: MapMethod, pixels: Pixels, state: CategoryState, tiling: TileSettings) -> TiledImage:
    """An image of one category, (H, W, 3) uint8 RGB, cut for a loaded method's encoder."""
    plan = tile_plan(pixels.shape[1], pixels.shape[0], tiling, encoder_input(method))
    return TiledImage(plan.resized(pixels), plan, state)


class Mosaic:
    """Tiles' maps joined to one: means of the tiles over a cell, weighted by its distance to their borders.

    Args:
        plan: the image's tiles.
        top_tiles: tiles whose mean score is the image's.
    """

    def __init__(self, plan: TilePlan, top_tiles: int) -> None:
        self.plan, self.top_tiles = plan, top_tiles
        self.scores: list[float] = []
        self._sum = np.zeros((plan.rows, plan.columns), np.float32)
        self._weight = np.zeros_like(self._sum)

    def add(self, corner: tuple[int, int], tile: npt.NDArray[np.float32], score: float) -> None:
        """Lay one tile's map, (patches, patches), and its score."""
        side = self.plan.encoder.patches
        place = slice(corner[1], corner[1] + side), slice(corner[0], corner[0] + side)
        # A single tile's map stays what it was, to the bit.
        weights = taper(side, side) if len(self.plan.corners) > 1 else np.ones((side, side), np.float32)
        self._sum[place] += tile * weights
        self._weight[place] += weights
        self.scores.append(score)

    def finished(self) -> TiledMap:
        """Map and score once all tiles are laid."""
        highest = sorted(self.scores, reverse=True)[: self.top_tiles]
        return TiledMap(float(np.mean(highest)), self._sum / self._weight)


def encoder_input(method: MapMethod) -> EncoderInput:
    """The input of a loaded method; what `input_of` tells of its config."""
    return EncoderInput(method.input_side, method.grid)


def tiled_maps(
    method: MapMethod, images: Sequence[TiledImage], at_once: int, top_tiles: int
) -> list[TiledMap]:
    """Maps and scores of images, in their order.

    Args:
        method: the loaded method.
        images: images of any sizes and categories.
        at_once: tiles in a forward pass, of one image or of several.
        top_tiles: tiles whose mean score is the image's.

    Raises:
        UserError: see `MapMethod.__call__`.
    """
    mosaics = [Mosaic(image.plan, top_tiles) for image in images]
    tiles = [(number, corner) for number, image in enumerate(images) for corner in image.plan.corners]
    for start in range(0, len(tiles), at_once):
        some = tiles[start : start + at_once]
        stack = np.stack([images[number].plan.tile(images[number].pixels, corner) for number, corner in some])
        out = method(torch.from_numpy(stack), [images[number].state for number, _ in some])
        for (number, corner), tile, score in zip(some, out.maps.numpy(), out.score.tolist(), strict=True):
            mosaics[number].add(corner, tile, score)
    return [mosaic.finished() for mosaic in mosaics]


def tiled_state(
    method: MapMethod,
    prompts: CategoryPrompts,
    references: Iterable[Pixels],
    tiling: TileSettings,
    at_once: int,
) -> CategoryState:
    """Text embeddings of a category, and one memory bank of all its references' tiles.

    Of references with more patches than `CANDIDATES` every so manieth tile is taken, see `tile_memory`.

    Args:
        method: the loaded method.
        prompts: the category's object and defects.
        references: (H, W, 3) uint8 RGB normal images; the first `method.shots` are used.
        tiling: how they are cut.
        at_once: tiles in a forward pass.

    Raises:
        UserError: see `MapMethod.category_state`.
    """
    state = method.text_state(prompts)
    if not method.shots:
        return state
    layers: list[list[Tensor]] = []
    count = 0
    for count, image in enumerate(references, start=1):
        plan = tile_plan(image.shape[1], image.shape[0], tiling, encoder_input(method))
        share, least = CANDIDATES // method.shots, method.least_remembered
        layers.append(tile_memory(plan.resized(image), plan, method.remembered, at_once, share, least))
        if count == method.shots:
            break
    if count < method.shots:
        raise UserError(
            f'Category "{prompts.object}" has {count} normal references, {method.shots} are needed;'
            " give more, or lower shots (0 needs none)."
        )
    whole = [torch.cat(layer) for layer in zip(*layers, strict=True)]
    return replace(state, banks=method.kept(whole, tiling.bank_limit, prompts.object))


def tile_memory(
    pixels: Pixels,
    plan: TilePlan,
    remembered: Callable[[Tensor], list[Tensor]],
    at_once: int,
    share: int,
    least: int,
) -> list[Tensor]:
    """What a bank may keep of an image's tiles: by layer (R, D), on the CPU.

    Args:
        pixels: result of `TilePlan.resized`.
        plan: the image's tiles.
        remembered: see `MapMethod.remembered`.
        at_once: tiles in a forward pass.
        share: patches of a layer, about, that are kept: all of them, or of evenly chosen tiles.
        least: patches of a tile that are kept at least, any of them; a tile with no more is kept whole.
    """
    corners = evenly(plan.corners, max(1, share // least))
    each = rows_of_a_tile(len(corners), share, least)
    layers: list[list[Tensor]] = []
    for start in range(0, len(corners), at_once):
        some = corners[start : start + at_once]
        stack = np.stack([plan.tile(pixels, corner) for corner in some])
        by_layer = remembered(torch.from_numpy(stack))
        for place in range(len(some)):
            tile = [layer[place].cpu() for layer in by_layer]
            layers.append([thinned(layer, each, "random", start + place) for layer in tile])
    return [torch.cat(layer) for layer in zip(*layers, strict=True)]


def rows_of_a_tile(tiles: int, share: int, least: int) -> int:
    """Most patches of each of so many tiles that `tile_memory` keeps."""
    return max(share // tiles, least)


def evenly(corners: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """At most so many of the corners, evenly spread over their order."""
    if len(corners) <= most:
        return list(corners)
    return [corners[int(place)] for place in np.linspace(0, len(corners) - 1, most).round()]
