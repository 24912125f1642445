from .base import MAX_BOXES, MIN_SCORE, Detector, build_detector
from .published import published_weights
from .suppression import MAX_CANDIDATES, Predictions
from .trunk import Trunk, TrunkEncoder

__all__ = [
    "MAX_BOXES",
    "MAX_CANDIDATES",
    "MIN_SCORE",
    "Detector",
    "Predictions",
    "Trunk",
    "TrunkEncoder",
    "build_detector",
    "published_weights",
]
