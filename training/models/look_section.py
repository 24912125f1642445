"""How a trained detector looks at an image: whole or in tiles, in mirror images too, in what precision."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from cluster.config import Section
from training.models.names import Flips, LookPrecision
from training.models.tile_section import DetectorTiles


class LookSection(Section):
    """How a detector looks at an image; what it finds in tiles is joined over the seams.

    Attributes:
        tiles: `learnt`: whole images or tiles, as the detector's training had them, which its file says;
            `off`, `auto` or a number as in a training (`finetune.tiles`). A detector knows defects by the
            size that they had there.
        tile_overlap: least share of a tile's side that it has in common with the next; an object longer than
            that is joined of its parts. None takes that of the training with `learnt`, else 0.25.
        flips: mirror images that are looked at beside each image, `lr` (left to right) and `ud` (upside
            down); both make four looks of one. What they find is fused (docs/method.md#views): more of the
            true defects, in a multiple of the time. Take those that it was trained on.
        precision: `fp32`, or `bf16`: the network's products in bfloat16, for GPUs and for CPUs that have them
            (`agssp doctor`); boxes move by less than a pixel of the input.
    """

    tiles: Annotated[int, Field(ge=32, le=100_000)] | Literal["learnt", "off", "auto"] = "learnt"
    tile_overlap: float | None = Field(default=None, ge=0, le=0.75)
    flips: Flips = ()
    precision: LookPrecision = "fp32"

    # Artifacts that were made when files did not say are found: their fingerprints have no such keys.
    @model_serializer(mode="wrap")
    def _without_what_is_learnt(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = dump(self)
        if not self.deciding_tiles:
            document.pop("tiles", None)
            document.pop("tile_overlap", None)
        if not self.deciding_precision:
            document.pop("precision", None)
        return document

    def cut(self, learnt: DetectorTiles) -> DetectorTiles:
        """How images are cut.

        Args:
            learnt: how the detector's training cut them.
        """
        told: dict[str, Any] = learnt.deciding_tiles if self.tiles == "learnt" else {"tiles": self.tiles}
        if self.tile_overlap is not None:
            told["tile_overlap"] = self.tile_overlap
        return DetectorTiles.model_validate(told)

    @property
    def deciding_tiles(self) -> dict[str, Any]:
        """What decides boxes beside what the detector learnt, JSON-able; none where that is all."""
        if self.tiles == "learnt":
            return {} if self.tile_overlap is None else {"tiles": "learnt", "tile_overlap": self.tile_overlap}
        return {"tiles": self.tiles, **self.cut(DetectorTiles()).deciding_tiles}

    @property
    def deciding_flips(self) -> dict[str, Any]:
        """The mirror images, JSON-able; none where there are none."""
        return {"flips": list(self.flips)} if self.flips else {}

    @property
    def deciding_precision(self) -> dict[str, Any]:
        """The precision, JSON-able; none where it is float32."""
        return {} if self.precision == "fp32" else {"precision": self.precision}
