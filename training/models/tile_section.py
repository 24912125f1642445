"""The config of a detector's tiles: whether it sees an image as a whole or tiles of it."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from cluster.config import Section

MOST_SHRUNK = 1.25  # times, up to which `auto` lets an image be shrunk as a whole


class DetectorTiles(Section):
    """How images are cut for a detector's training.

    Attributes:
        tiles: `off`: the whole image is laid out in the detector's input; `auto`: tiles of as many pixels as
            the input has, which are not shrunk, and the whole where it fits nearly; or a tile's longer
            side in pixels of the image.
        tile_overlap: least share of a tile's side that it has in common with the next; an object longer than
            that is joined of its parts.
    """

    tiles: Annotated[int, Field(ge=32, le=100_000)] | Literal["off", "auto"] = "off"
    tile_overlap: float = Field(default=0.25, ge=0, le=0.75)

    # Artifacts that were made when there were no tiles are found: their fingerprints have no such keys.
    @model_serializer(mode="wrap")
    def _without_what_is_off(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = dump(self)
        if self.tiles == "off":
            document.pop("tiles", None)
            document.pop("tile_overlap", None)
        return document

    @property
    def deciding_tiles(self) -> dict[str, Any]:
        """The settings here that decide boxes, JSON-able; none where tiles are off."""
        return {} if self.tiles == "off" else {"tiles": self.tiles, "tile_overlap": self.tile_overlap}

    def size(self, width: int, height: int, shape: tuple[int, int], stretched: bool) -> tuple[int, int]:
        """Width and height of an image's tiles in its pixels; its own sides where it is not cut.

        Args:
            width, height: the image's sides in pixels.
            shape: height and width of the detector's input in pixels; tiles have its aspect.
            stretched: whether images are stretched over the whole input, of which no tile may be a part then.
        """
        high, wide = shape
        fits = width <= MOST_SHRUNK * wide and height <= MOST_SHRUNK * high
        if self.tiles == "off" or (self.tiles == "auto" and fits):
            return width, height
        scale = 1.0 if self.tiles == "auto" else self.tiles / max(shape)
        if stretched:
            scale = min(scale, width / wide, height / high)
        return max(1, min(width, round(wide * scale))), max(1, min(height, round(high * scale)))
