from .base import MIN_SCORE, Detector, build_detector
from .suppression import Predictions
from .trunk import Trunk, TrunkEncoder

__all__ = ["Detector", "MIN_SCORE", "Predictions", "Trunk", "TrunkEncoder", "build_detector"]
