"""Where an image's tiles lie: in its pixels, and in the cells of its map."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.images import tile_corners
from pipelines.maps.tile_section import TileSettings

MOST_STRETCH = 1.25  # up to which `auto` lets sides differ, and patches grow, for fewer tiles
MOST_ENLARGED = 4  # times; a strip thinner than that is stretched instead


@dataclass(frozen=True)
class EncoderInput:
    """A method's square input.

    Attributes:
        size: pixels of its side.
        patches: patches along its side, of the finest level where there are several.
    """

    size: int
    patches: int


@dataclass(frozen=True)
class TilePlan:
    """The tiles of one image.

    Attributes:
        rows, columns: cells of the map, each at least the encoder's patches.
        corners: left and top of each tile in cells; a tile has the encoder's patches a side.
        encoder: the encoder's input.
    """

    rows: int
    columns: int
    corners: tuple[tuple[int, int], ...]
    encoder: EncoderInput

    @property
    def seen(self) -> tuple[int, int]:
        """Width and height in pixels of the image as the tiles are cut from it."""
        return self._pixels(self.columns), self._pixels(self.rows)

    def resized(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB at the size of `seen`; bicubic, antialiased as `preprocess`."""
        return np.asarray(Image.fromarray(image).resize(self.seen, Image.Resampling.BICUBIC))

    def tile(self, resized: npt.NDArray[np.uint8], corner: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The encoder's input, (3, size, size) uint8, of one tile of the result of `resized`."""
        left, top, side = self._pixels(corner[0]), self._pixels(corner[1]), self.encoder.size
        return resized[top : top + side, left : left + side].transpose(2, 0, 1)

    def _pixels(self, cells: int) -> int:
        # Halves go up, always: with those that go to even the last tile may pass the border by a pixel.
        return (2 * cells * self.encoder.size + self.encoder.patches) // (2 * self.encoder.patches)


def tile_plan(width: int, height: int, tiling: TileSettings, encoder: EncoderInput) -> TilePlan:
    """The tiles of an image of these sides in pixels.

    Args:
        width, height: the image's sides.
        tiling: settings; with `off` there is one tile, the whole image.
        encoder: the encoder's input.
    """
    least = encoder.patches
    rows, columns = _grid(width, height, tiling, encoder)
    corners = tile_corners(columns, rows, least, tiling.tile_overlap)
    return TilePlan(rows, columns, tuple(corners), encoder)


def _grid(width: int, height: int, tiling: TileSettings, encoder: EncoderInput) -> tuple[int, int]:
    least = encoder.patches
    if tiling.tiles == "off":
        return least, least
    shorter, longer = sorted((width, height))
    if tiling.tiles == "auto":
        wanted = tiling.least_defect * least
        if longer <= MOST_STRETCH * min(wanted, shorter):
            return least, least
        if wanted < shorter <= MOST_STRETCH * wanted:  # one row of tiles, not two that share nearly all
            wanted = shorter
    else:
        wanted = tiling.tiles
    side = max(min(wanted, shorter), min(wanted, encoder.size / MOST_ENLARGED))
    patch, limit = side / least, max(tiling.grid_limit, least * least)  # patch: pixels of the image
    rows, columns = (max(least, round(length / patch)) for length in (height, width))
    if rows * columns > limit:
        patch *= math.sqrt(rows * columns / limit)
        rows, columns = (max(least, math.floor(length / patch)) for length in (height, width))
        if rows > columns:
            rows = min(rows, limit // columns)
        else:
            columns = min(columns, limit // rows)
    return rows, columns
