"""Every shipped recipe is a valid project; the paper's rows have its figures and take a step."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from cluster.recipes import recipe_notes, recipes
from training.agbp.data import PretrainImages
from training.agbp.task import AgbpTask
from training.loop import LoopSettings
from training.models.backbones.base import build
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.models.names import backbone_of
from training.project import read_project as project_of

SIDE = 64


class Row(NamedTuple):
    """A backbone and method of the paper's Table 1: batch, optimizer, rate, epochs of its three stages."""

    backbone: str
    pretext: str
    bp: tuple[int, str, float, int]
    dp: tuple[int, str, float, int]
    ft: tuple[int, str, float, int]


CSP = ((1024, "sgd", 0.01, 200), (256, "sgd", 0.01, 10), (32, "sgd", 0.0025, 500))
RESNET = ((512, "sgd", 0.01, 200), (128, "sgd", 0.0025, 10), (32, "sgd", 0.0025, 500))
SWIN = ((512, "adamw", 0.0001, 200), (128, "sgd", 0.0025, 10), (14, "sgd", 0.0025, 500))
TABLE_1 = {
    "paper-yolov8s-cls": Row("yolov8s", "cls", *CSP),
    "paper-resnet50-cls": Row("resnet50", "cls", *RESNET),
    "paper-resnet50-mocov3": Row("resnet50", "mocov3", *RESNET),
    "paper-swin-cls": Row("swin_base_patch4_window7_224", "cls", *SWIN),
    "paper-swin-simmim": Row("swin_base_patch4_window7_224", "simmim", *SWIN),
}


@pytest.mark.parametrize("name", sorted(recipes()))
def test_recipe_is_valid(name: str) -> None:
    project = project_of([f"recipe:{name}"])
    assert project.name == name
    assert recipe_notes()[name].endswith(".")  # what `agssp recipes` tells of it
    assert project.backbone.name == backbone_of(project.detector.name)
    assert project.detector.name == project.finetune.name


def test_every_row_of_the_paper_is_a_recipe() -> None:
    assert {name for name in recipes() if name.startswith("paper-")} == set(TABLE_1)


@pytest.mark.parametrize("name", sorted(TABLE_1))
def test_the_papers_figures(name: str) -> None:
    row, project = TABLE_1[name], project_of([f"recipe:{name}"])
    backbone = project.backbone
    assert (backbone.name, backbone.pretext, backbone.start) == (row.backbone, row.pretext, "imagenet")
    assert backbone.frozen_stages == 2
    loop = backbone.loop
    assert (loop.batch_size, loop.optimizer, loop.lr, loop.epochs) == row.bp
    assert backbone.image_size == (192 if row.pretext == "simmim" else 224)
    for section, (batch, optimizer, rate, epochs) in ((project.detector, row.dp), (project.finetune, row.ft)):
        later: LoopSettings = section.loop
        assert (later.batch_size, later.optimizer, later.epochs) == (batch, optimizer, epochs)
        # A step on the batch's mean loss, as large as the paper's on its sum.
        assert later.lr / batch == pytest.approx(rate)
        assert later.lr * later.weight_decay == pytest.approx(rate * 5e-4, rel=1e-4)
        assert later.clip_norm is not None
        assert later.clip_norm * batch == pytest.approx(10, rel=1e-4)
    assert (project.detector.image_size, project.finetune.image_size) == (224, 640)
    assert project.detector.freeze_backbone
    assert (project.maps.kead.shots, project.boxes.c) == (4, 0.1)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> PretrainImages:
    """A dozen of noise in two categories, with maps."""
    folder: Path = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    uris = []
    for index in range(12):
        path = folder / f"{index}.png"
        Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        uris.append(str(path))
    return PretrainImages(
        image_ids=tuple(map(str, range(12))),
        uris=tuple(uris),
        categories=np.arange(12, dtype=np.int64) % 2,
        names=("a", "b"),
        maps=rng.random((12, 8, 8)).astype(np.float16),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TABLE_1))
def test_a_row_takes_a_step(name: str, images: PretrainImages) -> None:
    """Backbone with pretext task and distillation, then its detector: losses finite, what is free moves."""
    torch.manual_seed(0)
    project = project_of([f"recipe:{name}", f"backbone.image_size={SIDE}"])
    task = AgbpTask(project.backbone, build(project.backbone.name), images, 0)
    batch = task.collate([task.dataset[index] for index in range(4)])
    task.train_mode(task.model)
    loss, parts = task.loss(task.model, batch)
    torch.autograd.backward(loss)
    assert all(torch.isfinite(value) for value in (loss, *parts.values()))
    backbone = task.model.backbone
    assert not any(p.grad is not None for p in backbone.stage_parameters(2))
    last = {id(p) for p in backbone.stage_parameters(4)} - {id(p) for p in backbone.stage_parameters(2)}
    assert all(p.grad is not None for p in backbone.parameters() if id(p) in last)
    detector = build_detector(project.detector.name, ("anomaly",), Preprocessing(SIDE, "square"))
    detector.freeze("backbone")
    targets = {
        "image": torch.tensor([0, 1]),
        "labels": torch.tensor([0, 0]),
        "boxes": torch.tensor([[8.0, 8.0, 40.0, 40.0], [16.0, 8.0, 56.0, 30.0]]),
    }
    found, _ = detector.train()(torch.rand(2, 3, SIDE, SIDE), targets)
    torch.autograd.backward(found)
    assert torch.isfinite(found)
