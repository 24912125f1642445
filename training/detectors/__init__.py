"""Detectors by name; a new library is one adapter file that registers its names."""

from training.detectors import torchvision as torchvision  # these register their names
from training.detectors import transformers as transformers
from training.detectors import ultralytics as ultralytics
from training.detectors import ultralytics_rtdetr as ultralytics_rtdetr
from training.detectors.base import (
    Detector,
    Freeze,
    Predictions,
    Targets,
    backbone_of,
    build_detector,
    check_detector_name,
    detector_names,
)

__all__ = [
    "Detector",
    "Freeze",
    "Predictions",
    "Targets",
    "backbone_of",
    "build_detector",
    "check_detector_name",
    "detector_names",
]
