"""Detectors by name; a new library is one adapter file that registers its names."""

from training.detectors import torchvision as torchvision  # these register their names
from training.detectors import transformers as transformers
from training.detectors import ultralytics as ultralytics
from training.detectors import ultralytics_rtdetr as ultralytics_rtdetr
from training.detectors.base import (
    Detector,
    Freeze,
    Masks,
    Predictions,
    Targets,
    backbone_of,
    build_detector,
    check_detector_name,
    check_masks,
    detector_names,
    weighs_boxes,
)

__all__ = [
    "Detector",
    "Freeze",
    "Masks",
    "Predictions",
    "Targets",
    "backbone_of",
    "build_detector",
    "check_detector_name",
    "check_masks",
    "detector_names",
    "weighs_boxes",
]
