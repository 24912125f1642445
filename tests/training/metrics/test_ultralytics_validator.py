"""Our AP against ultralytics' own validator, on the same weights and images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from ultralytics import YOLO

from training.detection.augment_section import BoxAugment
from training.detection.data import DetectionDataset, Sample
from training.detection.task import DetectionTask
from training.evaluation.metrics import measure
from training.export.native_file import write_native
from training.loop.loop import train
from training.loop.reports import EpochReport
from training.loop.section import LoopSettings
from training.loop.state import weights_of
from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.prediction.predict import ImagePrediction, predict

pytestmark = pytest.mark.slow

SIDE, IMAGES, EPOCHS, POINTS = 96, 32, 45, 0.005
CLASSES = {"red": (200, 30, 30), "blue": (30, 30, 200)}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for part in ("images", "labels"):
        (folder / part / "val").mkdir(parents=True)
    parts = {"train": "images/val", "val": "images/val"}
    document = {"path": str(folder), **parts, "names": dict(enumerate(CLASSES))}
    (folder / "data.yaml").write_text(yaml.safe_dump(document))
    return folder


@pytest.fixture(scope="module")
def samples(folder: Path) -> list[Sample]:
    """Dark images with three coloured rectangles each, as files of ultralytics' too."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(IMAGES):
        image = rng.integers(20, 90, (SIDE, SIDE, 3), dtype=np.uint8)
        boxes, labels = [], rng.integers(0, 2, 3)
        for label in labels:
            width, height = (int(value) for value in rng.integers(14, 40, 2))
            x, y = int(rng.integers(1, SIDE - width)), int(rng.integers(1, SIDE - height))
            image[y : y + height, x : x + width] = list(CLASSES.values())[label]
            boxes.append([x, y, x + width, y + height])
        path = folder / f"images/val/{number:03d}.png"
        cv2.imwrite(str(path), image[..., ::-1])
        lines = [
            f"{label} {(x0 + x1) / 2 / SIDE} {(y0 + y1) / 2 / SIDE} {(x1 - x0) / SIDE} {(y1 - y0) / SIDE}"
            for label, (x0, y0, x1, y1) in zip(labels, boxes, strict=True)
        ]
        (folder / f"labels/val/{number:03d}.txt").write_text("\n".join(lines))
        corners = np.array(boxes, dtype=np.float64)
        found.append(Sample(f"{number:03d}", str(path), SIDE, SIDE, corners, labels))
    return found


@pytest.fixture(scope="module")
def detector(samples: list[Sample]) -> Detector:
    """Trained for a minute on what it is measured on: an AP between nothing and all."""
    torch.manual_seed(0)
    detector = build_detector("yolov8n", tuple(CLASSES), Preprocessing(SIDE, "letterbox"))
    dataset = DetectionDataset(
        samples, preprocessing=detector.preprocessing, augment=BoxAugment(mosaic=0), epochs=EPOCHS
    )
    settings = LoopSettings(
        epochs=EPOCHS, batch_size=8, optimizer="adamw", lr=2e-3, eval_every=EPOCHS, checkpoint_every=EPOCHS
    )
    reports: list[EpochReport] = []
    train(DetectionTask(detector, dataset, ()), settings, device=CPU, on_epoch=reports.append)
    state = reports[-1].state
    assert state is not None
    detector.load_state_dict(weights_of(state))
    return detector.eval()


def test_ap_is_that_of_ultralytics_within_half_a_point(
    folder: Path, samples: list[Sample], detector: Detector, tmp_path: Path
) -> None:
    native = write_native(detector, tmp_path, "detector")
    theirs = YOLO(str(native.path)).val(
        data=str(folder / "data.yaml"), imgsz=SIDE, batch=8, device="cpu", plots=False, verbose=False,
        rect=False, workers=0, project=str(tmp_path), name="val",
    )  # fmt: skip
    images = {sample.image_id: sample.uri for sample in samples}
    found = [one for one in predict(detector, images, device=CPU) if isinstance(one, ImagePrediction)]
    ours = measure(samples, found, tuple(CLASSES), min_score=0.25).precision
    assert 0.2 < ours.map50_95 < 0.95
    assert ours.map50 == pytest.approx(float(theirs.box.map50), abs=POINTS)
    assert ours.map50_95 == pytest.approx(float(theirs.box.map), abs=POINTS)
