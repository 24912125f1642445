"""The config of the training of map methods' heads."""

from typing import Literal, Self

from pydantic import Field

from cluster.config import Section
from pipelines.painting import Count, PaintSettings, Strength
from training.loop import LoopSettings


class HeadPaint(PaintSettings):
    """`PaintSettings` with this training's defaults: up to three defects, fainter and stronger ones too."""

    strength: tuple[Strength, Strength] = (0.75, 2.0)
    defects: tuple[Count, Count] = (1, 3)


class HeadLoop(LoopSettings):
    """`LoopSettings` with this training's defaults: at most 20 epochs of AdamW, the best epoch kept."""

    epochs: int = Field(default=20, ge=1, le=100_000)
    batch_size: int = Field(default=16, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=2e-3, gt=0, le=100)
    weight_decay: float = Field(default=1e-2, ge=0, le=1)
    best_metric: str | None = "pixel_ap"
    patience: int | None = Field(default=6, ge=1)
    checkpoint_every: int = Field(default=5, ge=1)


class HeadsSection(Section):
    """How heads of map methods are trained; the encoder is frozen, and its features are kept meanwhile.

    Attributes:
        images: most images that are learnt from, drawn by content; of the corpus' others none is read.
        copies: copies of each image that are painted, each otherwise, for `maps.method=painted`.
        paint: how defects are painted for it.
        validation: share of the images that judge the epochs; at least one.
        loop: the training's loop; `patience` ends it early.
    """

    images: int = Field(default=1000, ge=2, le=100_000)
    copies: int = Field(default=2, ge=1, le=64)
    paint: HeadPaint = HeadPaint()
    validation: float = Field(default=0.15, gt=0, lt=1)
    loop: HeadLoop = HeadLoop()

    def seeded(self, seed: int) -> Self:
        """This section with the seed, where its loop has none."""
        return self.model_copy(update={"loop": self.loop.seeded(seed)})
