"""A served detector answers as predictions do, of whole images and of those that it learnt to cut."""

import numpy as np
import pytest
import torch

from cluster.registry.registry import ModelVersion
from pipelines.images.reading import decode_image
from tests.training.serving.registered_detectors import png, random_detector
from training.models.tile_section import DetectorTiles
from training.prediction.predict import ImagePrediction, predict
from training.serving.messages import Asked
from training.serving.served_model import ServedModel

CPU = torch.device("cpu")


@pytest.mark.parametrize("tiles", ["off", "auto", 48])
def test_boxes_are_those_of_predict(tiles: str | int) -> None:
    detector = random_detector(0)
    detector.cut = DetectorTiles.model_validate({"tiles": tiles})
    images = {"small": png(60, 50), "strip": png(300, 70, seed=1), "large": png(130, 140, seed=2)}
    decoded = {name: decode_image(data) for name, data in images.items()}
    want = {one.image_id: one for one in predict(detector, decoded, device=CPU)}
    model = ServedModel(ModelVersion("line", 1, (), "", "", "", "", {}), detector, CPU)
    asked = Asked("x", min_score=0.001)
    batch = [model.lay_out(asked, data, 1_000_000) for data in images.values()]
    for name, answer in zip(images, model.detect(batch), strict=True):
        one = want[name]
        assert isinstance(one, ImagePrediction)
        assert (answer.width, answer.height) == (one.width, one.height)
        assert len(answer.boxes) > 0
        corners = [[box[side] for side in ("x0", "y0", "x1", "y1")] for box in answer.boxes]
        kept = one.scores > 0.001
        np.testing.assert_allclose(corners, one.boxes[kept], atol=0.05)
        np.testing.assert_allclose([box["score"] for box in answer.boxes], one.scores[kept], atol=1e-4)
