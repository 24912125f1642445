"""Detector files, honest and hostile, and predictions in pixels of the original."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cluster.errors import UserError
from cluster.storage.storage import Storage
from training.models.detectors.base import Detector, build_detector
from training.models.detectors.suppression import Predictions
from training.models.letterbox import Preprocessing
from training.pictures.drawing import PREDICTION, TRUTH, DrawnBox, draw_boxes
from training.prediction.predict import ImagePrediction, UnreadableImage, predict
from training.starts.detector_file import load_detector, save_detector
from training.weights.files import METADATA_KEY

CLASSES = ("crack", "hole")


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    return build_detector("yolov8n", CLASSES, Preprocessing(64, "letterbox"))


@pytest.fixture
def file(detector: Detector, tmp_path: Path) -> Path:
    save_detector(detector, Storage.open(str(tmp_path)), "detector.safetensors", {"corpus": "abc"})
    return tmp_path / "detector.safetensors"


def rewrite(
    file: Path, detector: Detector, state: dict[str, torch.Tensor] | None = None, **change: Any
) -> Path:
    """The file again with other weights or metadata."""
    metadata = {
        "kind": "detector",
        "architecture": "yolov8n",
        "classes": list(CLASSES),
        "preprocessing": {"size": 64, "resize": "letterbox"},
        "lineage": {},
    } | change
    save_file(state or detector.state_dict(), file, metadata={METADATA_KEY: json.dumps(metadata)})
    return file


def test_a_saved_detector_comes_back(file: Path, detector: Detector) -> None:
    loaded = load_detector(file)
    assert loaded.classes == CLASSES
    assert loaded.preprocessing == Preprocessing(64, "letterbox")
    assert not loaded.training
    own = detector.state_dict()
    assert all(value.equal(own[key]) for key, value in loaded.state_dict().items())


def test_a_detector_made_for_many_classes_and_used_for_few_comes_back(tmp_path: Path) -> None:
    wide = build_detector("yolov8n", tuple(str(n) for n in range(80)), Preprocessing(64, "square"))
    few = build_detector("yolov8n", CLASSES, Preprocessing(64, "square"), like=wide.state_dict())
    save_detector(few, Storage.open(str(tmp_path)), "few.safetensors", {})
    assert load_detector(tmp_path / "few.safetensors").classes == CLASSES


def test_weights_of_another_size_are_refused(file: Path, detector: Detector) -> None:
    with pytest.raises(UserError, match=r"has shape .* where yolov8s for 2 classes has"):
        load_detector(rewrite(file, detector, architecture="yolov8s"))


def test_more_classes_than_weights_are_refused(file: Path, detector: Detector) -> None:
    with pytest.raises(UserError, match="for 3 classes"):
        load_detector(rewrite(file, detector, classes=["a", "b", "c"]))


def test_a_missing_tensor_is_named(file: Path, detector: Detector) -> None:
    state = dict(detector.state_dict())
    del state["model.0.bn.bias"]
    with pytest.raises(UserError, match=r'"model\.0\.bn\.bias" is missing'):
        load_detector(rewrite(file, detector, state))


def test_a_foreign_tensor_is_named(file: Path, detector: Detector) -> None:
    state = {**detector.state_dict(), "model.99.weight": torch.zeros(1)}
    with pytest.raises(UserError, match=r'"model\.99\.weight" is not part of it'):
        load_detector(rewrite(file, detector, state))


def test_an_absurd_class_branch_builds_nothing_huge(file: Path, detector: Detector) -> None:
    """An empty tensor may claim any width."""
    key = "model.22.cv3.0.2.weight"
    state = {**detector.state_dict(), key: torch.zeros(0, 10**9, 1, 1)}
    with pytest.raises(UserError, match="has shape"):
        load_detector(rewrite(file, detector, state))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "backbone"},
        {"architecture": 7},
        {"classes": "crack"},
        {"classes": []},
        {"classes": [1, 2]},
        {"preprocessing": None},
        {"preprocessing": {"size": 10**9, "resize": "square"}},
        {"preprocessing": {"size": 65, "resize": "square"}},
        {"preprocessing": {"size": "64", "resize": "square"}},
        {"preprocessing": {"size": 64, "resize": "crop"}},
    ],
)
def test_metadata_that_lies_is_refused(file: Path, detector: Detector, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is not a detector made here"):
        load_detector(rewrite(file, detector, **change))


@pytest.mark.parametrize("change", [{"architecture": "resnet50"}, {"classes": ["crack", "crack"]}])
def test_a_name_or_classes_we_cannot_build_are_refused(
    file: Path, detector: Detector, change: dict[str, Any]
) -> None:
    with pytest.raises(UserError):
        load_detector(rewrite(file, detector, **change))


def test_bytes_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"\x80\x04not weights")
    with pytest.raises(UserError, match="safetensors"):
        load_detector(path)


def test_boxes_come_back_in_pixels_of_the_original(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((50, 200, 3), dtype=np.uint8))
    (tmp_path / "bad.png").write_bytes(b"nothing")
    # In a 64 px letterbox the image is 64 x 16 from y = 24; the second box reaches beyond it.
    boxes = torch.tensor([[0.0, 24, 32, 40], [48, 0, 64, 64]])
    found = Predictions(boxes, torch.tensor([0.9, 0.4]), torch.tensor([1, 0]))
    monkeypatch.setattr(detector, "predict", lambda images, min_score, areas: [found] * len(images))
    images = {name: str(tmp_path / f"{name}.png") for name in ("wide", "bad")}
    results = list(predict(detector, images, device=torch.device("cpu")))
    bad, wide = results
    assert isinstance(bad, UnreadableImage)
    assert bad.image_id == "bad"
    assert isinstance(wide, ImagePrediction)
    np.testing.assert_allclose(wide.boxes, [[0, 0, 100, 50], [150, 0, 200, 50]])
    row = wide.row(CLASSES)
    assert row["boxes"][0] == {
        "x0": 0, "y0": 0, "x1": 100, "y1": 50, "score": pytest.approx(0.9), "label": "hole",
    }  # fmt: skip


def test_a_box_in_the_letterbox_margin_is_no_prediction_and_takes_no_place(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((50, 200, 3), dtype=np.uint8))
    # The image is 64 x 16 from y = 24; 300 better boxes lie above it, one on its border, one inside.
    margin = [[x / 10, 0.0, x / 10 + 0.1, 20.0] for x in range(300)]
    boxes = torch.tensor([*margin, [0.0, 10, 16, 28], [32.0, 28, 48, 36]])
    scores = torch.tensor([[0.9, 0.0]] * 300 + [[0.8, 0.0], [0.7, 0.0]])
    monkeypatch.setattr(detector, "candidates", lambda images: (boxes[None, :, None], scores[None]))
    images = {"wide": str(tmp_path / "wide.png")}
    (wide,) = predict(detector, images, device=torch.device("cpu"))
    assert isinstance(wide, ImagePrediction)
    np.testing.assert_allclose(wide.boxes, [[0, 0, 50, 12.5], [100, 12.5, 150, 37.5]])


def test_the_batch_size_changes_no_prediction(detector: Detector, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = {}
    for number in range(5):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (40 + number, 60, 3), dtype=np.uint8))
        images[str(number)] = str(path)

    def run(batch_size: int) -> list[Any]:
        results = predict(detector, images, device=torch.device("cpu"), batch_size=batch_size, min_score=1e-6)
        return [result for result in results if isinstance(result, ImagePrediction)]

    for one, many in zip(run(1), run(4), strict=True):
        assert one.image_id == many.image_id
        np.testing.assert_allclose(one.scores[:20], many.scores[:20], rtol=1e-4)


def test_drawing_shows_both_kinds_and_leaves_the_image() -> None:
    image = np.full((60, 120, 3), 100, dtype=np.uint8)
    drawn = draw_boxes(
        image,
        [DrawnBox((10, 10, 40, 40), "Riß")],
        [DrawnBox((-5, 50, 500, 59.5), "hole 0.9")],
        side=240,
    )
    assert drawn.shape == (120, 240, 3)
    assert (image == 100).all()
    for colour in (TRUTH, PREDICTION):
        assert (drawn == colour).all(axis=2).sum() > 50


def test_a_detectors_file_keeps_the_levels_of_its_training(tmp_path: Path) -> None:
    detector = build_detector("yolov8n", ("pit",), Preprocessing(64, "square"))
    for levels in (None, (200.0, 3900.0)):
        detector.levels = levels
        save_detector(detector, Storage.open(str(tmp_path)), "detector.safetensors", {})
        assert load_detector(tmp_path / "detector.safetensors").levels == levels
