from .metrics import CLASS_AP, CONFUSION, CURVES
from .section import MIN_IOU, MIN_SCORE, EvaluateSection
from .stage import evaluate_detector

__all__ = ["CLASS_AP", "CONFUSION", "CURVES", "MIN_IOU", "MIN_SCORE", "EvaluateSection", "evaluate_detector"]
