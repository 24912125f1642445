"""Detectors of all families as ONNX files, apart from their other tests: each of these takes many seconds."""

from pathlib import Path
from typing import Any

import pytest
import torch

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
def test_export_gives_what_pytorch_gives(
    name: str, preprocessing: Preprocessing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracing, ways = torch.export.export, []

    def noted(*words: Any, **settings: Any) -> Any:
        ways.append(settings["strict"])
        return tracing(*words, **settings)

    monkeypatch.setattr(torch.export, "export", noted)
    detector = fresh(name, preprocessing).eval()
    check = export_onnx(detector, tmp_path / "detector.onnx", {})
    assert ways == [False]  # the exporter's quick way; where it fails, a slow one does all again
    assert check.boxes < 0.1
    assert check.scores < 1e-3
