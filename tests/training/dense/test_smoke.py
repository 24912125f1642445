"""Every task, regime and start takes a step on generated images with pixel masks, and is measured."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.storage.storage import Storage
from tests.training.dense.dense_scene import CLASSES, scene
from training.dense.model import build_dense, load_dense, save_dense, started_dense, trunk_of
from training.dense.section import CropSection, DenseTask, LoraSection, Regime
from training.dense.task import METRIC, DensePlan, dense_task
from training.detection.augment_section import ColourSection
from training.loop.loop import train
from training.loop.optimiser import optimizer
from training.loop.section import LoopSettings
from training.models.backbones.base import build
from training.models.detectors.torchvision import TorchvisionDetector
from training.starts.backbone_file import save_backbone
from training.starts.resolving import Start, resolve_start
from training.weights.files import save_weights

BACKBONE, VIT = "test_resnet.r160_in1k", "test_vit.r160_in1k"
SIDE = 64
MODELS: dict[DenseTask, str] = {
    "semantic": f"mask2former-s+{BACKBONE}",
    "instance": f"mask-rcnn+{BACKBONE}",
    "detection": f"faster-rcnn+{BACKBONE}",
}
EVERY: list[tuple[DenseTask, str]] = [*MODELS.items(), ("semantic", f"semantic-fpn+{BACKBONE}")]
REGIMES: tuple[Regime, ...] = ("frozen", "full", "layerwise")
STARTS = ("scratch", "agbp", "timm file")
COLOURS = ((0.4, 0.4, 0.4), (0.2, 0.2, 0.2))


def no_tracker() -> None:
    raise AssertionError("a file was looked up in the registry")


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Start | None]:
    """As `resolve_start` finds them: nothing, an AGBP backbone of ours, timm's own file."""
    folder = tmp_path_factory.mktemp("starts")
    torch.manual_seed(11)
    save_backbone(build(BACKBONE), Storage.open(str(folder)), "ours.safetensors", image_size=64, lineage={})
    torch.manual_seed(12)
    save_weights(folder / "timm.safetensors", build(BACKBONE).library_state_dict(), {})
    words = {"agbp": "ours.safetensors", "timm file": "timm.safetensors"}
    found = {name: resolve_start(str(folder / file), BACKBONE, no_tracker) for name, file in words.items()}  # type: ignore[arg-type]
    return {"scratch": None, **found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def plan_of(task: DenseTask, folder: Path, regime: Regime) -> DensePlan:
    return DensePlan(
        task=task,
        directory=Storage.open(str(folder)),
        regime=regime,
        lora=LoraSection(rank=2),
        probe_epochs=1 if regime == "linear_then_full" else 0,
        train=(scene(folder, 0, SIDE, SIDE),),
        held_out=(scene(folder, 5, SIDE, SIDE),),
        crop=CropSection(side=SIDE, inference="full"),
        augment=ColourSection(),
        levels=None,
        epochs=1,
        seed=0,
    )


@pytest.mark.parametrize(
    ("task", "name", "regime", "start"), [(*model, *rest) for model, *rest in product(EVERY, REGIMES, STARTS)]
)
def test_every_combination_takes_a_step(
    task: DenseTask, name: str, regime: Regime, start: str, folder: Path, starts: dict[str, Start | None]
) -> None:
    model, report = started_dense(task, name, CLASSES, SIDE, COLOURS, 0, starts[start])
    assert (report is None) == (start == "scratch")
    trunk = trunk_of(model)
    assert trunk is not None
    given = starts[start]
    if given is not None:
        for key, tensor in trunk.body.state_dict().items():
            torch.testing.assert_close(tensor, given.state[key])
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    if isinstance(model, TorchvisionDetector):
        model.roi_heads.fg_bg_sampler.batch_size_per_image = 16  # of 512: the heads' time is all there is
    made = dense_task(model, plan_of(task, folder, regime))
    settings = LoopSettings(
        epochs=1,
        batch_size=2,
        optimizer="adamw",
        lr=1e-3,
        warmup_epochs=0,
        schedule="constant",
        layer_decay=0.5 if regime == "layerwise" else None,
    )
    result = train(made, settings, device=torch.device("cpu"), on_epoch=lambda report: None)
    row = result.history[-1]
    assert np.isfinite(row["loss"])
    assert 0 <= row[METRIC[task]] <= 1
    after = result.weights
    learnt = {key for key, _ in model.named_parameters() if not torch.equal(before[key], after[key])}
    backbone = {key for key in learnt if model.part_of(key) == "backbone"}
    assert bool(backbone) == (regime != "frozen")
    assert learnt - backbone
    if regime == "frozen":
        for key, tensor in after.items():  # batch norms' statistics too
            if model.part_of(key) == "backbone":
                torch.testing.assert_close(tensor, before[key], rtol=0, atol=0)


@pytest.mark.parametrize(("task", "name"), EVERY)
@pytest.mark.parametrize(
    ("regime", "backbone"),
    [("norms", BACKBONE), ("linear_then_full", BACKBONE), ("lora", VIT)],
)
def test_every_adaptation_takes_a_step(
    regime: Regime, backbone: str, task: DenseTask, name: str, folder: Path
) -> None:
    model, _ = started_dense(task, name.replace(BACKBONE, backbone), CLASSES, SIDE, COLOURS, 0, None)
    if isinstance(model, TorchvisionDetector):
        model.roi_heads.fg_bg_sampler.batch_size_per_image = 16
    made = dense_task(model, plan_of(task, folder, regime))
    settings = LoopSettings(epochs=1, batch_size=2, optimizer="adamw", lr=1e-3, warmup_epochs=0)
    result = train(made, settings, device=torch.device("cpu"), on_epoch=lambda report: None)
    row = result.history[-1]
    assert np.isfinite(row["loss"])
    assert 0 <= row[METRIC[task]] <= 1


@pytest.mark.parametrize(("task", "name"), EVERY)
def test_the_head_is_the_same_for_every_start(
    task: DenseTask, name: str, starts: dict[str, Start | None]
) -> None:
    models = [started_dense(task, name, CLASSES, SIDE, None, 4, start)[0] for start in starts.values()]
    for key, tensor in models[0].state_dict().items():
        if models[0].part_of(key) != "backbone":
            assert all(torch.equal(tensor, model.state_dict()[key]) for model in models[1:])


@pytest.mark.parametrize("task", MODELS)
def test_a_saved_model_comes_back_with_its_colours(task: DenseTask, tmp_path: Path) -> None:
    model = build_dense(task, MODELS[task], CLASSES, SIDE, COLOURS)
    save_dense(task, model, SIDE, Storage.open(str(tmp_path)), "model.safetensors", {})
    again = load_dense(tmp_path / "model.safetensors")
    trunk = trunk_of(again)
    assert trunk is not None
    assert (trunk.backbone.mean, trunk.backbone.std) == COLOURS
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[key])
    x = torch.rand(1, 3, SIDE, SIDE)
    plain = build_dense(task, MODELS[task], CLASSES, SIDE, None).eval()
    plain.load_state_dict(model.state_dict())
    mean, std = (torch.tensor(side)[:, None, None] for side in COLOURS)
    other = trunk_of(plain)
    assert other is not None
    own = [torch.tensor(side)[:, None, None] for side in (other.backbone.mean, other.backbone.std)]
    moved = (x - mean) / std * own[1] + own[0]
    for ours, theirs in zip(trunk(x), other(moved), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_layers_learn_at_rates_that_fall_toward_the_image() -> None:
    model = build_dense("semantic", MODELS["semantic"], CLASSES, SIDE, None)
    groups = optimizer(model, LoopSettings(layer_decay=0.5)).param_groups
    scale = {id(p): group["scale"] for group in groups for p in group["params"]}
    layers = model.backbone_layers()
    for place, layer in enumerate(layers):
        assert {scale[id(p)] for p in layer if p.requires_grad} == {0.5 ** (len(layers) - place)}
    inside = {id(p) for layer in layers for p in layer}
    assert {scale[id(p)] for p in model.parameters() if p.requires_grad and id(p) not in inside} == {1.0}
    keys = {key for key, p in model.named_parameters() if id(p) in inside}
    assert keys == {key for key, _ in model.named_parameters() if model.part_of(key) == "backbone"}
