"""The torchvision adapter against torchvision itself."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss

from training.models.detectors.base import Detector
from training.models.detectors.torchvision_weighting import head_loss
from training.models.letterbox import Preprocessing
from training.models.parted import Targets
from training.starts.filling import fresh_detector

SIDE = 64
SQUARE = Preprocessing(SIDE, "square")
CLASSES = ("crack", "fray")


def detector(name: str = "faster-rcnn+resnet18") -> Detector:
    found: Any = fresh_detector(name, CLASSES, SQUARE, seed=0)
    torch.manual_seed(1)
    with torch.no_grad():  # fresh heads answer the same everywhere: nothing to compare
        for part in (found.rpn, found.roi_heads.box_predictor):
            for parameter in part.parameters():
                parameter.normal_(0, 0.05)
    made: Detector = found
    return made


def targets(**more: Tensor) -> Targets:
    boxes = torch.tensor([[4.0, 6, 30, 40], [20, 20, 60, 50], [0, 0, 64, 64]])
    return {"image": torch.tensor([0, 0, 2]), "labels": torch.tensor([0, 1, 1]), "boxes": boxes, **more}


@pytest.mark.slow
def test_predictions_equal_the_librarys() -> None:
    ours: Any = detector().eval()
    images = torch.rand(3, 3, SIDE, SIDE)
    heads = ours.roi_heads
    heads.score_thresh, heads.detections_per_img = 0.2, 40
    sizes = [(SIDE, SIDE)] * 3
    with torch.no_grad():
        maps = ours.backbone.maps(images)
        proposals, _ = ours.rpn(ImageList(images, sizes), maps)
        expected, _ = heads(maps, proposals, sizes)
    for found, wanted in zip(ours.predict(images, min_score=0.2, max_boxes=40), expected, strict=True):
        assert len(wanted["boxes"])
        torch.testing.assert_close(found.boxes, wanted["boxes"], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found.scores, wanted["scores"], rtol=1e-4, atol=1e-5)
        assert found.labels.tolist() == (wanted["labels"] - 1).tolist()


@pytest.mark.slow
def test_loss_equals_the_librarys() -> None:
    ours: Any = detector()
    images, truth = torch.rand(3, 3, SIDE, SIDE), targets()
    ours.backbone.eval()  # batch norms would differ between two passes
    listed = [
        {"boxes": truth["boxes"][truth["image"] == i], "labels": truth["labels"][truth["image"] == i] + 1}
        for i in range(3)
    ]
    torch.manual_seed(2)
    total, parts = ours(images, truth)
    torch.manual_seed(2)
    sizes = [(SIDE, SIDE)] * 3
    maps = ours.backbone.maps(images)
    proposals, proposing = ours.rpn(ImageList(images, sizes), maps, listed)
    _, heading = ours.roi_heads(maps, proposals, sizes, listed)
    theirs = [*proposing.values(), *heading.values()]
    torch.testing.assert_close(total, sum(theirs), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts["objectness"], proposing["loss_objectness"].detach())


@pytest.mark.slow
def test_weights_of_one_change_nothing_and_others_do() -> None:
    ours = detector()
    images = torch.rand(3, 3, SIDE, SIDE)
    ours.freeze("backbone")

    def loss(**more: Tensor) -> float:
        torch.manual_seed(2)
        return float(ours(images, targets(**more))[0].detach())

    assert math.isclose(loss(), loss(weights=torch.ones(3)), rel_tol=1e-5)
    light = loss(weights=torch.tensor([0.1, 0.1, 0.1]))
    assert light < loss()


def test_the_head_loss_is_the_librarys_and_linear_in_the_weights() -> None:
    torch.manual_seed(0)
    logits, deltas = torch.randn(12, 3), torch.randn(12, 12)
    labels, regression = [torch.tensor([0, 1, 2, 0, 1, 2])] * 2, [torch.randn(6, 4), torch.randn(6, 4)]
    torch.testing.assert_close(
        head_loss(logits, deltas, labels, regression, None),
        fastrcnn_loss(logits, deltas, labels, regression),
    )
    background = head_loss(logits, deltas, labels, regression, [torch.zeros(6)] * 2)
    once = head_loss(logits, deltas, labels, regression, [torch.ones(6)] * 2)
    twice = head_loss(logits, deltas, labels, regression, [torch.full((6,), 2.0)] * 2)
    for none, one, two in zip(background, once, twice, strict=True):
        torch.testing.assert_close(two - one, one - none)
    assert float(background[1]) == 0


@pytest.mark.slow
def test_masks_are_learnt_only_where_there_are_some() -> None:
    ours: Any = fresh_detector("mask-rcnn+resnet18", CLASSES, SQUARE, seed=0)
    images = torch.rand(3, 3, SIDE, SIDE)
    masked = [p for key, p in ours.named_parameters() if "mask" in key]
    loss, parts = ours(images, targets())
    loss.backward()
    assert "mask" not in parts
    assert masked
    assert all(p.grad is None for p in masked)
    ours.learn_masks()
    masks = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    masks[:, 20:40, 20:40] = 1
    loss, parts = ours(images, targets(masks=masks))
    loss.backward()
    assert float(parts["mask"]) > 0
    assert all(p.grad is not None for p in masked)


def test_keys_are_torchvisions() -> None:
    """So that its published weights fit: of ResNet-50, whose body timm names alike."""
    from torchvision.models.detection import fasterrcnn_resnet50_fpn

    with torch.device("meta"):
        theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=3).state_dict()
        ours = fresh_detector("faster-rcnn+resnet50", CLASSES, SQUARE, seed=0).state_dict()
    assert {key: x.shape for key, x in theirs.items()} == {key: x.shape for key, x in ours.items()}
