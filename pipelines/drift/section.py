"""The config of the check of new images against the corpus."""

from pydantic import Field, model_validator

from cluster.config import Section


class DriftSection(Section):
    """How new images are compared with the corpus.

    Attributes:
        images: most images of either side that are looked at, drawn by the project's seed.
        least: fewest new images, near-duplicates counted once, for a verdict; of the corpus twice as many.
        false_alarms: share of alarms that is accepted where nothing changed; the threshold is chosen by it.
        splits: splits of the corpus into two; by one half of them the threshold is chosen, by the other the
            false alarms are counted.
        examples: images of each side on the page for whatever moved.
    """

    images: int = Field(default=1000, ge=40, le=5000)
    least: int = Field(default=20, ge=8, le=1000)
    false_alarms: float = Field(default=0.01, gt=0, le=0.2)
    splits: int = Field(default=800, ge=40, le=20_000)
    examples: int = Field(default=5, ge=1, le=24)

    @model_validator(mode="after")
    def _enough(self) -> "DriftSection":
        if (self.splits // 2 + 1) * self.false_alarms < 1:
            raise ValueError(
                f"splits={self.splits} are too few to choose a threshold for false_alarms="
                f"{self.false_alarms:g}; give {round(2 / self.false_alarms)} or more"
            )
        if self.images < 2 * self.least:
            raise ValueError("images must be twice least or more, as that many of the corpus are needed")
        return self
