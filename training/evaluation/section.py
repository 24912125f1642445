"""The config of a detector's evaluation."""

from pydantic import Field

from cluster.config import Section
from training.metrics import CONFUSION_SCORE


class EvaluateSection(Section):
    """How a finetuned detector is measured.

    Attributes:
        batch_size: images at once; changes only memory and speed.
        min_score: score that detections in the confusion matrix exceed; AP integrates over all scores.
    """

    batch_size: int = Field(default=16, ge=1, le=4096)
    min_score: float = Field(default=CONFUSION_SCORE, ge=0, lt=1)
