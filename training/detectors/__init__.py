"""Detectors by name; a new library is one adapter file that registers its names."""

from training.detectors import ultralytics as ultralytics  # registers its names
from training.detectors.base import (
    Detector,
    Predictions,
    Targets,
    build_detector,
    check_detector_name,
    detector_names,
)

__all__ = ["Detector", "Predictions", "Targets", "build_detector", "check_detector_name", "detector_names"]
