"""A detector made ready to predict answers as it did, whatever library it comes from."""

import copy

import pytest
import torch
from torch import nn

from training.models import Preprocessing
from training.models.detectors import build_detector
from training.prediction import ready

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["yolov8n", "yolov8n+resnet18"])
def test_a_ready_detector_answers_as_before(name: str) -> None:
    torch.manual_seed(0)
    detector = build_detector(name, ("crack", "hole"), Preprocessing(64, "letterbox")).eval()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.rand_like(module.bias)
            module.bias.data.uniform_(-1, 1)
    images = torch.rand(3, 64, 64, 3).permute(0, 3, 1, 2)  # as images come: channels last
    with torch.no_grad():
        boxes, scores = copy.deepcopy(detector).candidates(images.contiguous())
        made = ready(detector, CPU)
        ready_boxes, ready_scores = made.candidates(images)
    assert made is detector
    assert not made.training
    torch.testing.assert_close(ready_boxes, boxes, rtol=1e-4, atol=1e-3)  # pixels
    torch.testing.assert_close(ready_scores, scores, rtol=1e-4, atol=1e-5)
    convolutions = [module for module in made.modules() if isinstance(module, nn.Conv2d)]
    assert all(one.weight.is_contiguous(memory_format=torch.channels_last) for one in convolutions)
