from .coco import (
    AveragePrecision,
    ClassPrecision,
    Detections,
    Runs,
    Scores,
    TrueObjects,
    average_precision,
    true_objects,
)
from .confusion import BACKGROUND, Matrix, confusion_matrix
from .floors import CONFUSION_IOU, CONFUSION_SCORE
from .resampling import MatchedDetections, difference_interval
from .semantic import PixelCounts
from .swapping import swapped_p

__all__ = [
    "BACKGROUND",
    "CONFUSION_IOU",
    "CONFUSION_SCORE",
    "AveragePrecision",
    "ClassPrecision",
    "Detections",
    "MatchedDetections",
    "Matrix",
    "PixelCounts",
    "Runs",
    "Scores",
    "TrueObjects",
    "average_precision",
    "confusion_matrix",
    "difference_interval",
    "swapped_p",
    "true_objects",
]
