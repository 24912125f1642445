from .coco import AveragePrecision, ClassPrecision, Detections, Runs, Scores, TrueObjects, average_precision
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
    "TrueObjects",
    "average_precision",
    "confusion_matrix",
]
