from .metrics import CLASS_AP, CONFUSION, CURVES, measure
from .section import EvaluateSection
from .stage import evaluate_detector, predictions_of

__all__ = [
    "CLASS_AP",
    "CONFUSION",
    "CURVES",
    "EvaluateSection",
    "evaluate_detector",
    "measure",
    "predictions_of",
]
