"""The config of a detector's evaluation."""

from typing import Any

from pydantic import Field

from training.metrics import CONFUSION_SCORE
from training.models import DetectorTiles, LookSection


class EvaluateSection(LookSection):
    """How a finetuned detector is measured.

    Attributes:
        batch_size: images, or tiles of an image, at once; changes only memory and speed.
        min_score: score that detections in the confusion matrix exceed; AP integrates over all scores.
    """

    batch_size: int = Field(default=16, ge=1, le=4096)
    min_score: float = Field(default=CONFUSION_SCORE, ge=0, lt=1)

    @property
    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result beside what the detector learnt, JSON-able."""
        return {**self.deciding_with(DetectorTiles()), **self.deciding_tiles}

    def deciding_with(self, cut: DetectorTiles) -> dict[str, Any]:
        """The settings that decide the result, JSON-able.

        Args:
            cut: how images are cut.
        """
        return {
            "min_score": self.min_score,
            **self.deciding_flips,
            **self.deciding_precision,
            **cut.deciding_tiles,
        }
