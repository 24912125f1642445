"""One untrained detector and its ONNX file, made once for the tests of a folder."""

from pathlib import Path

import pytest
import torch

from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.runtimes.onnx_export import OnnxCheck, export_onnx

CLASSES = ("crack", "hole")
SIDE = 192  # boxes of an untrained detector are smaller


@pytest.fixture(scope="session")
def detector() -> Detector:
    torch.manual_seed(0)
    made = build_detector("yolov8n", CLASSES, Preprocessing(SIDE, "letterbox")).eval()
    made.licences = {"coco of yolov8n": "AGPL-3.0"}
    return made


@pytest.fixture(scope="session")
def exported(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, OnnxCheck]:
    path = tmp_path_factory.mktemp("export") / "detector.onnx"
    return path, export_onnx(detector, path, {"model": "steel@3"})
