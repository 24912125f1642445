"""The config of the training of map methods' heads."""

from typing import Self

from pydantic import Field

from cluster.config import Section
from pipelines.painting import PaintSettings
from training.loop import LoopSettings


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
    paint: PaintSettings = PaintSettings(strength=(0.75, 2.0), defects=(1, 3))
    validation: float = Field(default=0.15, gt=0, lt=1)
    loop: LoopSettings = LoopSettings(
        epochs=30,
        batch_size=16,
        optimizer="adamw",
        lr=2e-3,
        weight_decay=1e-2,
        best_metric="pixel_ap",
        patience=6,
        checkpoint_every=5,
    )

    def seeded(self, seed: int) -> Self:
        """This section with the seed, where its loop has none."""
        return self.model_copy(update={"loop": self.loop.seeded(seed)})
