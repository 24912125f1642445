from .coco import AveragePrecision, ClassPrecision, Detections, Runs, Scores, Truth, average_precision
from .confusion import BACKGROUND, Matrix, confusion_matrix
from .semantic import PixelCounts

__all__ = [
    "BACKGROUND",
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
