"""What of a backbone learns under each regime, bit by bit, and what a killed training goes on with."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import register_parametrization

from cluster.errors import UserError
from cluster.storage.storage import Storage
from tests.training.dense.dense_scene import CLASSES, scene
from training.dense.adaptation import LowRank, adapt, check_adaptable, merged
from training.dense.model import build_dense, load_dense, save_dense
from training.dense.section import CropSection, DenseTask, LoraSection, Regime
from training.dense.task import DensePlan, dense_task
from training.detection.augment_section import ColourSection
from training.loop.loop import EpochReport, train
from training.loop.section import LoopSettings
from training.loop.state import State
from training.models.parted import PartedModel
from training.models.segmenters.semantic_fpn import SemanticFpn

RESNET, VIT = "test_resnet.r160_in1k", "test_vit.r160_in1k"
SIDE = 64
LORA = LoraSection(rank=4, alpha=8)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def model_on(backbone: str, task: DenseTask = "semantic") -> PartedModel:
    """A small model, the same for every call."""
    torch.manual_seed(3)
    family = {"semantic": "semantic-fpn", "instance": "mask-rcnn", "detection": "yolov8n"}[task]
    return build_dense(task, f"{family}+{backbone}", CLASSES, SIDE, None)


def plan_of(folder: Path, regime: Regime, epochs: int, task: DenseTask = "semantic") -> DensePlan:
    return DensePlan(
        task=task,
        directory=Storage.open(str(folder)),
        regime=regime,
        lora=LORA,
        probe_epochs=epochs // 2,
        train=tuple(scene(folder, number, SIDE, SIDE) for number in range(3)),
        held_out=(),
        crop=CropSection(side=SIDE, inference="full"),
        augment=ColourSection(),
        levels=None,
        epochs=epochs,
        seed=0,
    )


def learnt(
    model: PartedModel, plan: DensePlan, resume: State | None = None, **words: Any
) -> tuple[dict[str, Tensor], list[State]]:
    """The weights after a training, and the state after each of its epochs."""
    states: list[State] = []

    def keep(report: EpochReport) -> None:
        assert report.state is not None
        states.append(report.state)

    chosen = LoopSettings(
        epochs=plan.epochs,
        batch_size=2,
        optimizer="adamw",
        lr=1e-2,
        weight_decay=0.1,
        warmup_epochs=0,
        **words,
    )
    done = train(dense_task(model, plan), chosen, device=CPU, on_epoch=keep, resume=resume)
    return dict(done.weights), states


def backbone_of(model: PartedModel, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in state.items() if model.part_of(key) == "backbone"}


@pytest.mark.parametrize("backbone", [RESNET, VIT])
def test_norms_alone_learn(backbone: str, folder: Path) -> None:
    model = model_on(backbone)
    before = copy.deepcopy(model.state_dict())
    affine = {
        f"{name}.{key}"
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        for key in ("weight", "bias")
    }
    after, _ = learnt(model, plan_of(folder, "norms", 1))
    changed = {
        key for key, tensor in backbone_of(model, after).items() if not torch.equal(tensor, before[key])
    }
    assert changed
    assert changed <= affine  # batch norms' statistics aren't


@pytest.mark.parametrize("ema", [None, 0.5])
def test_low_rank_updates_leave_the_weights_and_merge_to_the_same_maps(
    ema: float | None, folder: Path, tmp_path: Path
) -> None:
    model = model_on(VIT)
    plain = copy.deepcopy(model)
    before = model.state_dict()
    before = {key: tensor.clone() for key, tensor in before.items()}
    after, _ = learnt(model, plan_of(folder, "lora", 2), ema_decay=ema)
    ours = backbone_of(model, after)
    updates = {key for key in ours if key.endswith((".up", ".down"))}
    assert len(updates) == 2 * 2 * 6  # two layers a block
    assert all(ours[key].any() for key in updates)
    scales = {key for key in ours if key.endswith(".scale")}
    for key in ours.keys() - updates - scales:
        assert torch.equal(ours[key], before[key.replace(".parametrizations.weight.original", ".weight")])

    state = merged(after)
    assert state.keys() == before.keys()
    plain.load_state_dict(state)
    model.load_state_dict(after)
    assert isinstance(model, SemanticFpn)
    assert isinstance(plain, SemanticFpn)
    x = torch.rand(1, 3, SIDE, SIDE)
    torch.testing.assert_close(plain.eval().logits(x), model.eval().logits(x), rtol=0, atol=1e-5)
    weight = "encoder.body.blocks.0.attn.qkv.weight"
    up, down = (
        ours[weight.replace("weight", f"parametrizations.weight.0.{part}")] for part in ("up", "down")
    )
    expected = before[weight].double() + LORA.alpha / LORA.rank * up.double() @ down.double()
    torch.testing.assert_close(state[weight].double(), expected, rtol=0, atol=1e-6)
    save_dense("semantic", plain, SIDE, Storage.open(str(tmp_path)), "model.safetensors", {})
    assert load_dense(tmp_path / "model.safetensors").state_dict().keys() == before.keys()


def test_an_update_acts_where_the_weight_is_read_past_the_layer() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 5)
    register_parametrization(layer, "weight", LowRank(layer.weight, 2, 4))
    x = torch.rand(3, 6)
    torch.autograd.backward(functional.linear(x, layer.weight).sum())  # as timm's BEiT and Swin V2 read it
    update = layer.parametrizations.weight[0]  # type: ignore[union-attr,index]
    assert isinstance(update, LowRank)
    assert update.up.grad is not None
    assert update.up.grad.any()


def test_updates_are_drawn_from_the_seed_and_leave_others_alone() -> None:
    def drawn(seed: int) -> Tensor:
        model = model_on(VIT)
        torch.manual_seed(9)
        adapt(model, "lora", LORA, seed)
        torch.testing.assert_close(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(9)))
        state: dict[str, Tensor] = model.state_dict()
        return next(tensor for key, tensor in state.items() if key.endswith("0.down"))

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_a_regime_that_has_nothing_to_adapt_is_told() -> None:
    with pytest.raises(UserError, match="no attention, which lora adapts"):
        check_adaptable(model_on(RESNET), "lora", LORA)
    with pytest.raises(UserError, match=r"lora\.rank=65 is more than the narrowest layer .* has, 64"):
        check_adaptable(model_on(VIT), "lora", LoraSection(rank=65))
    check_adaptable(model_on(RESNET), "norms", LORA)


@pytest.mark.parametrize("backbone", [RESNET, VIT])
@pytest.mark.parametrize("task", ["semantic", "detection"])
def test_the_backbone_waits_for_the_decoder_then_learns(task: DenseTask, backbone: str, folder: Path) -> None:
    model = model_on(backbone, task)
    before = copy.deepcopy(model.state_dict())
    _, states = learnt(model, plan_of(folder, "linear_then_full", 2, task))
    first, second = (state["model"] for state in states)
    for key, tensor in backbone_of(model, first).items():  # batch norms' statistics too
        assert torch.equal(tensor, before[key]), key
    moved = {key for key in first if not torch.equal(first[key], before[key])}
    assert "classes" in {model.part_of(key) for key in moved}
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.ndim > 1:
            assert not torch.equal(second[key], first[key]), key


@pytest.mark.parametrize(
    ("regime", "backbone"),
    [("linear_then_full", RESNET), ("linear_then_full", VIT), ("lora", VIT), ("norms", RESNET)],
)
def test_a_training_killed_in_either_phase_ends_as_the_unbroken_one(
    regime: Regime, backbone: str, folder: Path
) -> None:
    plan = plan_of(folder, regime, 4)
    whole, states = learnt(model_on(backbone), plan)
    for state in states[:3]:  # in the first phase, at its end, in the second
        again, _ = learnt(model_on(backbone), plan, resume=state)
        assert again.keys() == whole.keys()
        assert all(torch.equal(tensor, whole[key]) for key, tensor in again.items())
