"""bf16 leaves coordinates and losses in float32: on long strips its eight bits would move boxes by pixels."""

import pytest
import torch
from torch import Tensor

from tests.training.models.test_detector_families import QUICK, fresh
from training.loop.loop import AUTOCAST
from training.models import Preprocessing, float32
from training.models.detectors import Detector
from training.models.detectors.torchvision import TorchvisionDetector
from training.models.detectors.ultralytics_network import UltralyticsNetwork, library_batch

LENGTH = 2048  # pixels; there numbers of bf16 come in steps of 8
LONG = Preprocessing((64, LENGTH), "letterbox")
FAR = [1811.0, 9.0, 1843.0, 47.0]


def strip() -> Tensor:
    return torch.rand(1, 3, 64, LENGTH, generator=torch.Generator().manual_seed(5))


def bf16(detector: Detector, call: str, *arguments: object) -> tuple[Tensor, Tensor]:
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        outputs: tuple[Tensor, Tensor] = getattr(detector, call)(*arguments)
    return outputs


@pytest.mark.parametrize("name", QUICK)
def test_boxes_at_the_far_end_of_a_strip_stay_where_they_are(name: str) -> None:
    detector = fresh(name, LONG).eval()
    with torch.no_grad():
        wanted, scores = detector.candidates(strip())
    boxes, other = bf16(detector, "candidates", strip())
    assert wanted[..., 2].max() > LENGTH - 8
    assert boxes.dtype == other.dtype == torch.float32
    torch.testing.assert_close(boxes, wanted, rtol=0, atol=0.25)
    torch.testing.assert_close(other, scores, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n"])
@pytest.mark.parametrize("kind", AUTOCAST)
def test_a_loss_is_that_of_the_networks_answers_in_float32(name: str, kind: str) -> None:
    targets = {"image": torch.tensor([0]), "labels": torch.tensor([1]), "boxes": torch.tensor([FAR])}
    first, second = fresh(name, LONG).train(), fresh(name, LONG).train()
    assert isinstance(second, UltralyticsNetwork)
    with torch.autocast("cpu", AUTOCAST[kind]):
        loss, _ = first(strip(), targets)
        answers = second.head(second.features(strip()))
    wanted, _ = second.criterion(torch.device("cpu"))(float32(answers), library_batch(strip(), targets))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, wanted.sum())


@pytest.mark.slow
def test_proposals_at_the_far_end_stay_where_they_are() -> None:
    detector = fresh("faster-rcnn+resnet18", LONG).eval()
    assert isinstance(detector, TorchvisionDetector)
    images = strip()
    with torch.no_grad():
        _, _, wanted, anchors, _ = detector._anchored(detector.backbone.maps(images), images)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        _, _, boxes, _, _ = detector._anchored(detector.backbone.maps(images), images)
    assert anchors.max() > LENGTH
    # The untrained layer moves an anchor of 512 pixels by up to two, and bf16 is off by a hundredth of that.
    torch.testing.assert_close(boxes, wanted, rtol=0, atol=0.25)


def test_what_holds_no_numbers_stays_as_it_is() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    nested = float32({"a": [half, (half, torch.arange(2))], "b": None, "c": "word"})
    assert nested["a"][0].dtype == nested["a"][1][0].dtype == torch.float32
    assert nested["a"][1][1].dtype == torch.int64
    assert (nested["b"], nested["c"]) == (None, "word")
