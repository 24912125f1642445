"""The config of a detector's evaluation."""

from typing import Any

from pydantic import Field

from training.metrics import CONFUSION_SCORE
from training.models import DetectorTiles, Flips


class EvaluateSection(DetectorTiles):
    """How a finetuned detector is measured.

    Attributes:
        batch_size: images, or tiles of an image, at once; changes only memory and speed.
        flips: mirror images that are looked at too, see `PredictSection`.
        min_score: score that detections in the confusion matrix exceed; AP integrates over all scores.
    """

    batch_size: int = Field(default=16, ge=1, le=4096)
    flips: Flips = ()
    min_score: float = Field(default=CONFUSION_SCORE, ge=0, lt=1)

    @property
    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, JSON-able."""
        flips = {"flips": list(self.flips)} if self.flips else {}
        return {"min_score": self.min_score, **flips, **self.deciding_tiles}
