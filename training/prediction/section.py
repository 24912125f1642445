"""The config of predictions."""

import math
from typing import Any, Literal

from pydantic import Field, field_validator

from training.models import LookSection


class PredictSection(LookSection):
    """How images are predicted.

    Attributes:
        min_score: least score of a box.
        runtime: what runs the detector: `torch`; `onnx` (onnxruntime, on CPUs); `auto`, which takes
            onnxruntime on a CPU for jobs of 400 million input pixels or more, if it answers as PyTorch does
            and sooner on a batch; where it does not, `auto` says so in a line.
        batch_size: images, or tiles of an image, that a worker takes at once.
        actors: workers that hold the detector; None takes one, or one per GPU.
        gpus_per_actor: GPUs of a worker; None takes one where the cluster has GPUs; a fraction shares one.
        draw: whether to write every image with its boxes, too.
        drawn_side: a drawn image's longer side, pixels.
        levels: values that become black and white in images of more than 8 bits; None takes those by which
            the detector's training images were scaled, or each image's own extremes where it names none.
        max_bad_share: share of unreadable images above which the command fails.
    """

    min_score: float = Field(default=0.25, ge=0, lt=1)
    runtime: Literal["auto", "torch", "onnx"] = "auto"
    batch_size: int = Field(default=16, ge=1, le=1024)
    actors: int | None = Field(default=None, ge=1, le=4096)
    gpus_per_actor: float | None = Field(default=None, ge=0, le=8)
    draw: bool = True
    drawn_side: int = Field(default=960, ge=32, le=8192)
    max_bad_share: float = Field(default=0.5, ge=0, le=1)

    levels: tuple[float, float] | None = None

    @field_validator("levels")
    @classmethod
    def _rising(cls, levels: tuple[float, float] | None) -> tuple[float, float] | None:
        if levels is not None and not (all(map(math.isfinite, levels)) and levels[0] < levels[1]):
            raise ValueError("levels are two finite numbers, black below white")
        return levels

    @property
    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, JSON-able."""
        deciding = self.model_dump(mode="json", include={"min_score", "draw", "drawn_side"})
        deciding |= self.deciding_tiles | self.deciding_flips | self.deciding_precision
        return deciding if self.levels is None else {**deciding, "levels": list(self.levels)}
