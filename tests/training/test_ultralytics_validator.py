"""Our AP against ultralytics' own validator, on the same weights and images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import nn
from ultralytics import YOLO

from training.detection_data import Sample
from training.detector_metrics import measure
from training.detectors import Detector, build_detector
from training.letterbox import Image, Preprocessing
from training.native_file import write_native
from training.predict import ImagePrediction, predict

pytestmark = pytest.mark.slow

SIDE, IMAGES, BEST, POINTS = 128, 48, 80, 0.005
CLASSES = ("crack", "hole")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Untrained, with loud last layers: its boxes differ in place, size, score and class."""
    torch.manual_seed(0)
    detector = build_detector("yolov8n", CLASSES, Preprocessing(SIDE, "letterbox")).eval()
    for key, value in detector.named_parameters():
        if "model.22." in key and key.endswith(".2.weight"):
            nn.init.normal_(value, std=0.6 if ".cv2." in key else 0.25)
        if "model.22." in key and key.endswith(".2.bias"):
            # Small boxes: the expectation over 0 … 15 strides lies near the low end.
            value.data = -0.5 * torch.arange(16.0).repeat(4) if ".cv2." in key else torch.full_like(value, -3)
    # Without statistics of its own an untrained network answers all images alike.
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    detector.train()
    with torch.no_grad():
        detector.candidates(torch.from_numpy(np.stack(noise(16))).permute(0, 3, 1, 2) / 255)
    return detector.eval()


def noise(count: int) -> list[Image]:
    """Soft coloured blots, (SIDE, SIDE, 3)."""
    rng = np.random.default_rng(count)
    coarse = [rng.integers(0, 255, (12, 12, 3), dtype=np.uint8) for _ in range(count)]
    return [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for one in coarse]


def labelled(detector: Detector, folder: Path) -> list[Sample]:
    """Noise, whose truth is some of what the detector finds there, moved a little: a middling AP."""
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (folder / part / "val").mkdir(parents=True)
    uris = {}
    for number, image in enumerate(noise(IMAGES)):
        path = folder / f"images/val/{number:03d}.png"
        cv2.imwrite(str(path), image[..., ::-1])
        uris[f"{number:03d}"] = str(path)
    samples = []
    for one in predict(detector, uris, device=CPU):
        assert isinstance(one, ImagePrediction)
        sides = one.boxes[:, 2:] - one.boxes[:, :2]
        # Theirs compares boxes before they are cut to the image, ours after: truth keeps off the border.
        inside = (one.boxes[:, :2].min(axis=1) > 0) & (one.boxes[:, 2:].max(axis=1) < SIDE)
        large = np.flatnonzero(inside & (sides.min(axis=1) > 12))
        chosen = large[large < BEST]
        boxes = (one.boxes[chosen] + rng.normal(0, 0.06, (len(chosen), 4)) * np.tile(sides[chosen], 2)).clip(
            0, SIDE
        )
        labels = one.labels[chosen]
        lines = [
            f"{label} {(x0 + x1) / 2 / SIDE} {(y0 + y1) / 2 / SIDE} {(x1 - x0) / SIDE} {(y1 - y0) / SIDE}"
            for label, (x0, y0, x1, y1) in zip(labels, boxes, strict=True)
        ]
        (folder / f"labels/val/{one.image_id}.txt").write_text("\n".join(lines))
        samples.append(Sample(one.image_id, one.uri, SIDE, SIDE, boxes, labels))
    return samples


def test_ap_is_that_of_ultralytics_within_half_a_point(detector: Detector, tmp_path: Path) -> None:
    samples = labelled(detector, tmp_path / "data")
    assert {int(label) for sample in samples for label in sample.labels} == {0, 1}
    document = tmp_path / "data.yaml"
    parts = {"train": "images/val", "val": "images/val"}
    document.write_text(
        yaml.safe_dump({"path": str(tmp_path / "data"), **parts, "names": dict(enumerate(CLASSES))})
    )
    native = write_native(detector, tmp_path, "detector")
    theirs = YOLO(str(native.path)).val(
        data=str(document), imgsz=SIDE, batch=8, device="cpu", plots=False, verbose=False, rect=False,
        workers=0, project=str(tmp_path), name="val",
    )  # fmt: skip
    images = {sample.image_id: sample.uri for sample in samples}
    found = [one for one in predict(detector, images, device=CPU) if isinstance(one, ImagePrediction)]
    ours = measure(samples, found, CLASSES, min_score=0.25).precision
    assert 0.05 < ours.map50_95 < 0.9
    assert ours.map50 == pytest.approx(float(theirs.box.map50), abs=POINTS)
    assert ours.map50_95 == pytest.approx(float(theirs.box.map), abs=POINTS)
