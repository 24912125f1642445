"""Exported detectors against the library that opens them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from ultralytics import YOLO

from tests.training.runtimes.conftest import CLASSES, SIDE
from training.export.native_file import write_native
from training.models.detectors.base import Detector


@pytest.mark.slow
def test_ultralytics_opens_its_file_and_finds_the_same(detector: Detector, tmp_path: Path) -> None:
    native = write_native(detector, tmp_path, "detector")
    assert native.path.name == "detector.pt"
    yolo = YOLO(str(native.path))
    assert yolo.names == dict(enumerate(CLASSES))
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    (theirs,) = yolo.predict(image, conf=0.001, iou=0.7, imgsz=SIDE, max_det=300, verbose=False, device="cpu")
    (ours,) = detector.predict(image, max_boxes=600)
    assert len(theirs.boxes) > 10
    # Theirs has one label a box, ours may have several: each of theirs is among ours.
    for box, score in zip(theirs.boxes.xyxy, theirs.boxes.conf, strict=True):
        near = (ours.boxes - box).abs().amax(dim=1) < 1e-2
        assert (ours.scores[near] - score).abs().min() < 1e-5


def test_other_networks_are_written_as_their_state_dict(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(detector.__dict__, "network", None)
    native = write_native(detector, tmp_path, "detector")
    assert native.path.name == "detector.safetensors"
    assert load_file(native.path).keys() == detector.state_dict().keys()
    assert "yolov8n" in native.how
