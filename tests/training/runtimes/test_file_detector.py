"""A file predicts in the place of its detector."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.models.detectors.base import Detector
from training.prediction.predict import ImagePrediction, predict
from training.runtimes.file_detector import Array, FileDetector, answer_of
from training.runtimes.onnx_export import OnnxCheck

CPU = torch.device("cpu")


@pytest.mark.slow
def test_a_file_predicts_in_the_place_of_its_detector(
    detector: Detector, exported: tuple[Path, OnnxCheck]
) -> None:
    other = FileDetector(detector, answer_of(exported[0], 1))
    random = np.random.default_rng(0)
    images = {str(n): random.integers(0, 256, (60 + n, 90, 3), dtype=np.uint8) for n in range(3)}
    for one, two in zip(
        predict(detector, images, device=CPU), predict(other, images, device=CPU), strict=True
    ):
        assert isinstance(one, ImagePrediction)
        assert isinstance(two, ImagePrediction)
        assert len(one.boxes) == len(two.boxes) > 0
        np.testing.assert_allclose(two.scores, one.scores, atol=1e-5)
    with pytest.raises(TypeError, match="can't be trained"):
        other.stages(1)


def test_a_file_is_asked_as_its_detector_is_and_its_answer_is_taken_so(detector: Detector) -> None:
    """Mirror images too; the answer is one box at the left, wherever it looks."""
    detector.levels, detector.flips = (0.0, 4000.0), ("lr",)
    asked: list[Array] = []

    def answer(images: Array) -> tuple[Array, Array]:
        asked.append(images)
        boxes = np.tile(np.array([0, 0, 8, 8], np.float32), (len(images), 1, 1, 1))
        return boxes, np.full((len(images), 1, 2), [0.9, 0], np.float32)

    try:
        other = FileDetector(detector, answer).to(memory_format=torch.channels_last)
        images = torch.rand(2, 64, 96, 3).permute(0, 3, 1, 2)  # as images come: channels last
        found = other.predict(images)
    finally:
        detector.levels, detector.flips = None, ()
    assert other.levels == (0.0, 4000.0)
    assert [one.flags.c_contiguous for one in asked] == [True, True]
    assert np.array_equal(asked[1], asked[0][..., ::-1])
    for one in found:
        assert one.boxes.tolist() == [[0, 0, 8, 8], [88, 0, 96, 8]]
        assert one.scores.tolist() == pytest.approx([0.45, 0.45])  # each was seen in one of two views
