"""How images of more than 8 bits become 8 bits: the config."""

from typing import Literal

from pydantic import Field, model_validator

from cluster.config import Section

Scaling = Literal["percentile", "full", "image", "fixed"]


class LevelsSection(Section):
    """How images of more than 8 bits become 8 bits; others stay as they are.

    Attributes:
        scaling: `percentile`, between two percentiles of the images' pixels; `full`, 0–65,535; `fixed`,
            between `black` and `white`; `image`, each image's own minimum and maximum (a DICOM's own window,
            where it has one).
        low, high: percentiles that become black and white.
        black, white: values that become black and white, with `fixed` alone.
    """

    scaling: Scaling = "percentile"
    low: float = Field(default=0.1, ge=0, le=100)
    high: float = Field(default=99.9, ge=0, le=100)
    black: float | None = Field(default=None, allow_inf_nan=False)
    white: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _rising(self) -> "LevelsSection":
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g} must be below high={self.high:g}")
        if (self.scaling == "fixed") != (self.black is not None and self.white is not None):
            raise ValueError("black and white belong to scaling=fixed, which needs both")
        if self.scaling != "fixed" and (self.black is not None or self.white is not None):
            raise ValueError("black and white belong to scaling=fixed, which needs both")
        if self.black is not None and self.white is not None and self.black >= self.white:
            raise ValueError(f"black={self.black:g} must be below white={self.white:g}")
        return self
