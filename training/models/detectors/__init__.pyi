from .base import MIN_SCORE, Detector, build_detector
from .suppression import Predictions
from .trunk import Trunk, TrunkEncoder

__all__ = ["MIN_SCORE", "Detector", "Predictions", "Trunk", "TrunkEncoder", "build_detector"]
