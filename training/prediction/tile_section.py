"""The config of a detector's tiles: whether it sees an image as a whole or tiles of it."""

from typing import Annotated, Any, Literal

from pydantic import Field

from cluster.config import Section

MOST_SHRUNK = 1.25  # times, up to which `auto` lets an image be shrunk as a whole


class DetectorTiles(Section):
    """How an image is cut for a detector; boxes of all tiles are joined over the seams.

    Attributes:
        tiles: `off`: the whole image is laid out in the detector's input; `auto`: tiles of as many pixels as
            the input has, which are not shrunk, and the whole where it fits nearly; or a tile's side in
            pixels of the image. Take what the detector was trained on.
        tile_overlap: least share of a tile's side that it has in common with the next; an object longer than
            that is joined of its parts.
    """

    tiles: Annotated[int, Field(ge=32, le=100_000)] | Literal["off", "auto"] = "off"
    tile_overlap: float = Field(default=0.25, ge=0, le=0.75)

    @property
    def deciding_tiles(self) -> dict[str, Any]:
        """The settings here that decide boxes, JSON-able; none where tiles are off."""
        return {} if self.tiles == "off" else {"tiles": self.tiles, "tile_overlap": self.tile_overlap}

    def side(self, width: int, height: int, size: int) -> int:
        """The side of an image's tiles in its pixels; its longer side where it is not cut.

        Args:
            width, height: the image's sides in pixels.
            size: side of the detector's input in pixels.
        """
        longer = max(width, height)
        if self.tiles == "off" or (self.tiles == "auto" and longer <= MOST_SHRUNK * size):
            return longer
        return min(longer, size if self.tiles == "auto" else self.tiles)
