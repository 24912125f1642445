from .base import MIN_SCORE, Detector, build_detector
from .published import published_weights
from .suppression import Predictions
from .trunk import Trunk, TrunkEncoder

__all__ = [
    "MIN_SCORE",
    "Detector",
    "Predictions",
    "Trunk",
    "TrunkEncoder",
    "build_detector",
    "published_weights",
]
