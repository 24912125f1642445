"""A detector's ONNX file against PyTorch, and what its metadata tell."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.onnx_session import session_of
from tests.training.runtimes.conftest import CLASSES, SIDE
from training.models.detectors.base import Detector
from training.runtimes.onnx_export import OnnxCheck
from training.weights.files import METADATA_KEY


@pytest.mark.slow
def test_onnx_gives_what_pytorch_gives_at_any_batch_size(
    detector: Detector, exported: tuple[Path, OnnxCheck]
) -> None:
    path, check = exported
    assert check.boxes < 1e-3
    assert check.scores < 1e-5
    session = session_of(path)
    ends = [*session.get_inputs(), *session.get_outputs()]
    assert [end.shape[0] for end in ends] == ["batch"] * 3
    images = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    boxes, scores = session.run(["boxes", "scores"], {"images": images.numpy()})
    # Against what `predict` finds: every detection is one of the candidates, with its score.
    for index, found in enumerate(detector.predict(images, max_boxes=5)):
        assert len(found.boxes)
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            inside = boxes[index, :, 0].clip(0, SIDE)
            near = np.abs(inside - box.numpy()).max(axis=1) < 1e-2
            assert np.abs(scores[index, near, label] - score.item()).min() < 1e-5


@pytest.mark.slow
def test_the_contract_travels_with_the_file(exported: tuple[Path, OnnxCheck]) -> None:
    (entry,) = [item for item in onnx.load(str(exported[0])).metadata_props if item.key == METADATA_KEY]
    contract = json.loads(entry.value)
    assert contract["classes"] == list(CLASSES)
    assert contract["lineage"] == {"model": "steel@3"}
    assert (contract["input"]["height"], contract["input"]["resize"]) == (SIDE, "letterbox")
    assert contract["postprocessing"]["nms_iou"] == 0.7
    assert {"threshold", "clip"} <= set(contract["postprocessing"])
