from .metrics import CLASS_AP, CONFUSION, CURVES
from .section import CONFUSION_IOU, CONFUSION_SCORE, EvaluateSection
from .stage import evaluate_detector

__all__ = [
    "CLASS_AP",
    "CONFUSION",
    "CONFUSION_IOU",
    "CONFUSION_SCORE",
    "CURVES",
    "EvaluateSection",
    "evaluate_detector",
]
