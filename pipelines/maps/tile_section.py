"""The config of tiles: whether an anomaly map is made of an image as a whole or of tiles of it."""

from typing import Annotated, Literal

from pydantic import Field

from cluster.config import Section


class TileSettings(Section):
    """How an image is cut into tiles for the encoder, and what is made of them.

    Attributes:
        tiles: `off`: the whole image is stretched to the encoder's square input; `auto`: tiles by
            `least_defect` and the image's sides, none where the image is nearly square and small; or a tile's
            side in pixels of the image. A tile is never larger than the image's shorter side, so that the
            aspect is kept. References are tiled in the same way, and all their tiles are one bank.
        tile_overlap: least share of a tile's side that it has in common with the next.
        least_defect: pixels of the image that one patch covers with `tiles=auto`, about: take the smallest
            defect's shorter side.
        top_tiles: tiles whose mean score is the image's: the most anomalous one, or so many of them.
        grid_limit: most cells of a tiled image's map; larger images are seen coarser. A map takes two bytes a
            cell on disk, its pixels on the way to the encoder 3 × (pixels of a patch) a cell, 50 MB at the
            default and patches of 16 × 16.
        bank_limit: most embeddings of a category's tiled references that a patch is compared with, by level;
            those that differ most are kept. `bank.most` and `bank.coreset` win where there is a `bank`; for
            mutual scoring it is the most of each judging image.
    """

    tiles: Annotated[int, Field(ge=16, le=100_000)] | Literal["off", "auto"] = "off"
    tile_overlap: float = Field(default=0.25, ge=0, le=0.75)
    least_defect: float = Field(default=16, ge=1, le=10_000)
    top_tiles: int = Field(default=1, ge=1, le=10_000)
    grid_limit: int = Field(default=65_536, ge=4_096, le=1_048_576)
    bank_limit: int = Field(default=4_096, ge=256, le=65_536)

    @property
    def deciding_tiles(self) -> set[str]:
        """Names of the settings here that decide the maps; none where there are no tiles."""
        if self.tiles == "off":
            return set()
        names = {"tiles", "tile_overlap", "top_tiles", "grid_limit", "bank_limit"}
        return names | {"least_defect"} if self.tiles == "auto" else names
