"""The learning rate of a detector's kind: taken where none is written, and never over one that is."""

from typing import Any

import pytest

from cluster.config import merge
from training.detection.section import DetectorSection, FinetuneSection
from training.project import Project
from training.steps import load_project

QUERIES = (
    "rtdetr-l",
    "yolov8n-rtdetr",
    "rt-detr-v2-s+resnet18",
    "d-fine+resnet18",
    "deimv2-s+resnet18",
    "dino-s+resnet18",
)
GROUPS = ("lw-detr-tiny", "rf-detr-nano", "lw-detr+resnet18")


def rate(section: str, **given: Any) -> float:
    if section == "detector":
        return DetectorSection.model_validate(given).loop.lr
    return FinetuneSection.model_validate(given).loop.lr


@pytest.mark.parametrize("section", ["detector", "finetune"])
def test_the_rate_follows_the_kind(section: str) -> None:
    for name in (*QUERIES, *GROUPS):
        assert rate(section, name=name) == 1e-4
        assert rate(section, name=name, loop={"epochs": 3}) == 1e-4
        assert rate(section, name=name, loop={"lr": 1e-3}) == 1e-3
    for name in ("yolov8n", "yolo11n+resnet18", "faster-rcnn+resnet18"):
        assert rate(section, name=name, loop={"epochs": 3}) == 1e-3
    assert rate(section) == 1e-3


def test_another_detector_in_its_place_takes_its_own_rate() -> None:
    first = load_project({"finetune": {"name": "lw-detr-tiny", "starts": ["scratch"], "loop": {"epochs": 3}}})
    assert first.finetune.loop.lr == 1e-4
    second = load_project(first, {"finetune": {"name": "yolov8n"}})
    assert (second.finetune.loop.lr, second.finetune.loop.epochs) == (1e-3, 3)
    written = merge(first.model_dump(exclude_unset=True), {"finetune": {"name": "yolov8n"}})
    assert Project.model_validate(written).finetune.loop.lr == 1e-3
    assert first.seeded().finetune.loop.lr == 1e-4
