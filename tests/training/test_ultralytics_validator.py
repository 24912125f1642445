"""Our AP against ultralytics' own validator, on the same weights and images."""

from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

from benchmarks.labelled_surfaces import LabelledSurfaces, write_surfaces
from training.augmentation import AugmentSection
from training.detection import DetectionTask
from training.detection_data import DetectionDataset
from training.detector_metrics import measure
from training.detectors import Detector, build_detector
from training.letterbox import Preprocessing
from training.loop import LoopSettings, train, weights_of
from training.native_file import write_native
from training.predict import ImagePrediction, predict

pytestmark = pytest.mark.slow

SIDE, POINTS = 96, 0.005
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> LabelledSurfaces:
    folder = tmp_path_factory.mktemp("surfaces")
    return write_surfaces(folder, seed=3, categories=("rail",), size=SIDE, train=16, val=16)


@pytest.fixture(scope="module")
def detector(surfaces: LabelledSurfaces) -> Detector:
    """Trained until it knows its training images: an AP far from both ends says most."""
    torch.manual_seed(0)
    detector = build_detector("yolov8n", surfaces.classes, Preprocessing(SIDE, "letterbox"))
    dataset = DetectionDataset(
        surfaces.train,
        preprocessing=detector.preprocessing,
        augment=AugmentSection(mosaic=0),
        epochs=40,
        seed=0,
    )
    settings = LoopSettings(
        epochs=40, batch_size=8, optimizer="adamw", lr=2e-3, eval_every=40, checkpoint_every=40, seed=0
    )
    states: list[object] = []
    train(
        DetectionTask(detector, dataset, ()),
        settings,
        device=CPU,
        on_epoch=lambda report: states.append(report.state),
    )
    detector.load_state_dict(weights_of(states[-1]))  # type: ignore[arg-type]
    return detector.eval()


def test_ap_is_that_of_ultralytics_within_half_a_point(
    surfaces: LabelledSurfaces, detector: Detector, tmp_path: Path
) -> None:
    # Its `train` images as its validation split: they have an AP worth comparing.
    yaml = surfaces.yaml.with_name("seen.yaml")
    yaml.write_text(surfaces.yaml.read_text().replace("images/val", "images/train"))
    native = write_native(detector, tmp_path, "detector")
    theirs = YOLO(str(native.path)).val(
        data=str(yaml), imgsz=SIDE, batch=8, device="cpu", plots=False, verbose=False, rect=False, workers=0,
        project=str(tmp_path), name="val",
    )  # fmt: skip
    images = {sample.image_id: sample.uri for sample in surfaces.train}
    found = [one for one in predict(detector, images, device=CPU) if isinstance(one, ImagePrediction)]
    ours = measure(surfaces.train, found, surfaces.classes, min_score=0.25).precision
    assert 0.2 < ours.map50_95 < 0.99
    assert ours.map50 == pytest.approx(float(theirs.box.map50), abs=POINTS)
    assert ours.map50_95 == pytest.approx(float(theirs.box.map), abs=POINTS)
