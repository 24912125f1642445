"""A ViT under every neck: its quarters, normed, at the strides of a pyramid."""

import pytest
import torch

from cluster.errors import UserError
from training.models.backbones.base import build
from training.models.detectors.base import build_detector
from training.models.detectors.trunk import Trunk
from training.models.letterbox import Preprocessing

CLASSES = ("crack", "fray", "hole")


def test_a_backbone_without_a_stride_is_explained() -> None:
    with pytest.raises(UserError, match=r"nest_tiny has no map of stride 32, .* \(its strides: 4, 8, 16\)"):
        build_detector("yolov8n+nest_tiny", CLASSES, Preprocessing(224, "square"))
    with pytest.raises(UserError, match=r"On test_vit\.r160_in1k .* multiples of 32 px, not 48"):
        build_detector("yolov8n+test_vit.r160_in1k", CLASSES, Preprocessing(48, "square"))


@pytest.mark.parametrize("name", ["yolov8n", "faster-rcnn", "rt-detr-v2-s", "deimv2-s", "dino-s"])
def test_a_vit_has_a_pyramid_that_belongs_to_the_neck(name: str) -> None:
    backbone = build("test_vit.r160_in1k")
    detector = build_detector(f"{name}+test_vit.r160_in1k", CLASSES, Preprocessing(128, "square"))
    parts = {key: detector.part_of(key) for key in detector.state_dict()}
    assert {part for key, part in parts.items() if ".pyramid." in key} == {"neck"}
    ours = {key.removeprefix(detector.backbone_prefix) for key, part in parts.items() if part == "backbone"}
    assert ours == backbone.library_state_dict().keys()
    trunk = next(module for module in detector.modules() if isinstance(module, Trunk))
    maps = trunk(torch.rand(2, 3, 128, 128))
    strides = (4, 8, 16, 32)[-len(maps) :]
    assert [tuple(x.shape) for x in maps] == [
        (2, channels, 128 // stride, 128 // stride)
        for channels, stride in zip(trunk.channels, strides, strict=True)
    ]
    # At its own stride a map is a quarter's, normed over its channels and no more.
    images = torch.rand(1, 3, 128, 128)
    mean, std = (torch.tensor(each)[:, None, None] for each in (backbone.mean, backbone.std))
    quarter = trunk.backbone((images - mean) / std)[2]
    normed = (quarter - quarter.mean(1, keepdim=True)) / (
        quarter.var(1, keepdim=True, correction=0) + 1e-6
    ).sqrt()
    torch.testing.assert_close(trunk(images)[-2], normed, rtol=0, atol=1e-4)
