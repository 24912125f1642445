"""Detectors of all families as ONNX files, apart from their other tests: each of these takes many seconds."""

from pathlib import Path

import pytest

from tests.training.models.test_detector_families import HEAVY, SQUARE, STRIP, fresh
from training.models.letterbox import Preprocessing
from training.runtimes.onnx_export import export_onnx


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preprocessing"),
    [
        *(
            (name, SQUARE)
            for name in (
                "yolov8n+resnet18",
                "slf-yolo-n",
                *HEAVY,
                "rt-detr-v2-s+resnet18",
                "rf-detr+resnet18",
            )
        ),
        ("yolov8n-rtdetr", STRIP),
    ],
)
def test_export_gives_what_pytorch_gives(name: str, preprocessing: Preprocessing, tmp_path: Path) -> None:
    detector = fresh(name, preprocessing).eval()
    check = export_onnx(detector, tmp_path / "detector.onnx", {})
    assert check.boxes < 0.1
    assert check.scores < 1e-3
