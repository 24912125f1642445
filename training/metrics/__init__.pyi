from .coco import AveragePrecision, ClassPrecision, Detections, Runs, Scores, Truth, average_precision
from .confusion import BACKGROUND, Matrix, confusion_matrix
from .floors import MIN_IOU, MIN_SCORE
from .semantic import PixelCounts

__all__ = [
    "BACKGROUND",
    "MIN_IOU",
    "MIN_SCORE",
    "AveragePrecision",
    "ClassPrecision",
    "Detections",
    "Matrix",
    "PixelCounts",
    "Runs",
    "Scores",
    "Truth",
    "average_precision",
    "confusion_matrix",
]
