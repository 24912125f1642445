from .base import MIN_SCORE, Detector, build_detector
from .suppression import Predictions
from .trunk import Trunk

__all__ = ["MIN_SCORE", "Detector", "Predictions", "Trunk", "build_detector"]
