"""What every detector must keep, whatever library it comes from, and the whole way from scratch to boxes."""

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from cluster.storage.storage import Storage
from training.detection.data import DetectionDataset
from training.detection.task import DetectionTask
from training.evaluation.cost import model_cost
from training.loop.loop import train
from training.loop.section import LoopSettings
from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.models.names import backbone_of, check_detector_name, detector_names
from training.models.parted import Targets
from training.starts.detector_file import load_detector, save_detector
from training.starts.filling import filled_detector, fresh_detector

SIDE = 64
SQUARE = Preprocessing(SIDE, "square")
CLASSES = ("crack", "fray", "hole")
QUICK = ("yolov8n", "yolo11n", "yolo12n", "yolo26n", "slf-yolo-n", "yolov8n+resnet18")
HEAVY = (
    "yolov8n-rtdetr",
    "faster-rcnn+resnet18",
    "mask-rcnn+yolov8n",
    "d-fine-s+resnet18",
    "deimv2-s+resnet18",
    "dino-s+resnet18",
    "lw-detr-tiny",
)
SIBLINGS = (  # of the same adapters
    "rtdetr-l+resnet18",
    "rt-detr-v2-s+resnet18",
    "rf-detr+resnet18",
    "lw-detr+vit_tiny_patch16_224",
)
FOLDED = ("yolov8n", "yolo11n", "yolo12n", "yolo26n", "slf-yolo-n")
EVERY = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)]


@cache
def built(name: str, preprocessing: Preprocessing = SQUARE) -> Detector:
    """Of seed 3, built once, as some take seconds; never to be changed."""
    return fresh_detector(name, CLASSES, preprocessing, seed=3)


def fresh(name: str, preprocessing: Preprocessing = SQUARE) -> Detector:
    """A copy of `built` to do with as one likes."""
    return copy.deepcopy(built(name, preprocessing))


def batch() -> tuple[Tensor, Targets]:
    torch.manual_seed(1)
    targets = {
        "image": torch.tensor([0, 0]),
        "labels": torch.tensor([0, 2]),
        "boxes": torch.tensor([[4.0, 6, 30, 40], [20, 20, 60, 50]]),
    }
    return torch.rand(2, 3, SIDE, SIDE), targets


def loss_of(detector: Detector, empty: bool = False) -> Tensor:
    images, targets = batch()
    torch.manual_seed(2)  # of denoising and of sampled proposals
    if empty:
        targets = {name: value[:0] for name, value in targets.items()}
    loss, parts = detector(images, targets)
    assert loss.isfinite()
    assert all(part.isfinite() and not part.requires_grad for part in parts.values())
    found: Tensor = loss
    return found


@pytest.mark.parametrize("name", EVERY)
def test_the_same_seed_gives_the_same_loss_and_every_parameter_learns(name: str) -> None:
    first, second = fresh(name), fresh_detector(name, CLASSES, SQUARE, seed=3)
    loss = loss_of(first)
    assert loss.item() == loss_of(second).item()
    torch.autograd.backward(loss)
    assert all(p.grad is not None for p in first.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", EVERY)
def test_a_batch_without_boxes_reaches_every_parameter_that_ddp_waits_for(name: str) -> None:
    detector = fresh(name)
    torch.autograd.backward(loss_of(detector, empty=True))
    missing = [key for key, p in detector.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


@pytest.mark.parametrize("name", EVERY)
def test_frozen_parts_stay_bit_by_bit_in_training_mode(name: str) -> None:
    detector = fresh(name)
    stages = copy.deepcopy(detector)
    stages.freeze(2)
    learning = {key for key, p in stages.named_parameters() if p.requires_grad}
    assert any(detector.part_of(key) == "backbone" for key in learning)
    assert any(
        key not in learning and detector.part_of(key) == "backbone" for key, _ in stages.named_parameters()
    )

    detector.freeze("backbone+neck")
    before = copy.deepcopy(detector.state_dict())
    optimiser = torch.optim.AdamW((p for p in detector.parameters() if p.requires_grad), lr=1e-2)
    detector.train()
    torch.autograd.backward(loss_of(detector))
    optimiser.step()
    changed = {
        detector.part_of(key) for key, value in detector.state_dict().items() if not value.equal(before[key])
    }
    assert changed == {"head", "classes"}


@pytest.mark.parametrize("name", EVERY)
def test_other_classes_change_the_class_layers_alone(name: str) -> None:
    source = fresh_detector(name, ("anomaly",), SQUARE, seed=3)
    state = dict(source.state_dict())
    target, report = filled_detector(
        name, CLASSES, SQUARE, 0, state=state, metadata={"classes": ["anomaly"]}, source="s"
    )
    assert not report.mismatched
    for key, value in target.state_dict().items():
        if target.part_of(key) != "classes":
            assert value.equal(state[key]), key
    shapes = {key: value.shape for key, value in state.items()}
    differing = {key for key, value in target.state_dict().items() if value.shape != shapes[key]}
    assert differing == {key for key in shapes if target.part_of(key) == "classes"}


@pytest.mark.parametrize("name", EVERY)
def test_predictions_lie_in_the_image_best_first(name: str) -> None:
    detector = fresh(name).train()
    for found in detector.predict(batch()[0], min_score=0, max_boxes=50):
        assert 0 < len(found.boxes) <= 50
        assert bool((found.boxes >= 0).all())
        assert bool((found.boxes <= SIDE).all())
        assert bool((found.boxes[:, 2:] > found.boxes[:, :2]).all())
        assert found.scores.equal(found.scores.sort(descending=True).values)
        assert set(found.labels.tolist()) <= {0, 1, 2}
    assert detector.training


STRIP = Preprocessing((64, 192), "letterbox")  # LW-DETR cuts sides into windows of 64 px


@pytest.mark.parametrize("name", EVERY)
def test_a_strip_is_learnt_searched_to_its_far_end_and_kept(name: str, tmp_path: Path) -> None:
    detector = fresh(name, STRIP).train()
    targets = {
        "image": torch.tensor([0, 1]),
        "labels": torch.tensor([0, 2]),
        "boxes": torch.tensor([[100.0, 6, 156, 40], [20, 20, 60, 50]]),
    }
    images = torch.rand(2, 3, *STRIP.shape, generator=torch.Generator().manual_seed(1))
    loss, _ = detector(images, targets)
    assert loss.isfinite()
    torch.autograd.backward(loss)
    boxes = torch.cat([found.boxes for found in detector.predict(images, min_score=0, max_boxes=100)])
    assert bool((boxes >= 0).all())
    assert bool((boxes <= boxes.new_tensor([192, 64, 192, 64])).all())
    assert boxes[:, 2].max() > 96  # beyond a square of the strip's height
    save_detector(detector, Storage.open(str(tmp_path)), "detector.safetensors", {})
    assert load_detector(tmp_path / "detector.safetensors").preprocessing == STRIP


@pytest.mark.parametrize("name", [*EVERY, "yolov8n+yolo11n"])
def test_a_backbone_alone_fills_the_backbone_from_its_librarys_keys(name: str) -> None:
    target = fresh(name)
    prefix = target.backbone_prefix
    state = {
        key.removeprefix(prefix): torch.full_like(value, 0.5)
        for key, value in target.state_dict().items()
        if target.part_of(key) == "backbone"
    }
    filled, report = filled_detector(name, CLASSES, SQUARE, 0, state=state, metadata={}, source="s")
    counts = report.parts["backbone"]
    assert counts.tensors == counts.of_tensors == len(state)
    assert all(report.parts[part].tensors == 0 for part in ("neck", "head"))
    own = filled.state_dict()
    assert all(bool((own[prefix + key] == 0.5).all()) for key in state if state[key].is_floating_point())


@pytest.mark.parametrize("name", [*EVERY, *(pytest.param(name, marks=pytest.mark.slow) for name in SIBLINGS)])
def test_from_scratch_over_pseudo_boxes_to_finetuned_predictions(name: str, squares: list[Any]) -> None:
    """scratch → AGDP (backbone frozen, one class) → finetuning (other classes) → boxes of an image."""
    settings = LoopSettings(epochs=1, batch_size=2, optimizer="adamw", lr=1e-4, ema_decay=0.9)

    def trained(detector: Detector) -> Detector:
        dataset = DetectionDataset(squares[:2], preprocessing=SQUARE)
        result = train(
            DetectionTask(detector, dataset, squares[2:3]),
            settings,
            device=torch.device("cpu"),
            on_epoch=lambda report: None,
        )
        assert {"loss", "map50"} <= set(result.history[-1])
        detector.load_state_dict(result.weights)
        return detector

    start = fresh_detector(name, ("anomaly",), SQUARE, seed=0)
    before = copy.deepcopy(start.state_dict())
    start.freeze("backbone")
    pretrained = trained(start)
    assert all(
        value.equal(before[key])
        for key, value in pretrained.state_dict().items()
        if pretrained.part_of(key) == "backbone"
    )
    model, _ = filled_detector(
        name,
        CLASSES,
        SQUARE,
        0,
        state=dict(pretrained.state_dict()),
        metadata={"classes": ["anomaly"]},
        source="AGDP",
    )
    found = trained(model).predict(batch()[0], min_score=0, max_boxes=5)
    assert len(found) == 2
    assert all(len(one.boxes) for one in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in detector_names() if not re.fullmatch(r"yolo.*\+.*", n)])
def test_every_name_builds(name: str) -> None:
    whole = name.replace("BACKBONE", "resnet18")
    with torch.device("cpu" if "yolo" in name else "meta"):  # ultralytics reads numbers off its heads
        # Its windows of four patches of 14 px.
        preprocessing = Preprocessing(224, "square") if whole == "rf-detr-base" else SQUARE
        detector = build_detector(whole, CLASSES, preprocessing)
    assert {detector.part_of(key) for key in detector.state_dict()} == {"backbone", "neck", "head", "classes"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("faster-rcnn", "needs a backbone"),
        ("faster-rcnn+resnet-50", "no backbone"),
        ("faster-cnn+resnet50", r"faster-rcnn\+resnet50"),
        ("yolov8n+vit_small_patch14_dinov2", "multiples of 14 px"),
    ],
)
def test_a_name_that_cannot_be_built_is_explained(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_detector(name, CLASSES, SQUARE)


def test_the_backbone_of_a_name() -> None:
    names = ("yolov8n", "yolov8s+resnet50", "yolov8n-rtdetr")
    assert [backbone_of(name) for name in names] == ["yolov8n", "resnet50", "yolov8n"]
    assert check_detector_name("faster-rcnn+timm/resnet18") == "faster-rcnn+resnet18"


def test_more_stages_than_there_are_cannot_be_frozen() -> None:
    for name in ("yolov8n", "yolov8n+resnet18"):
        with pytest.raises(UserError, match="stages; 9 can't be frozen"):
            build_detector(name, CLASSES, SQUARE).freeze(9)


@pytest.mark.parametrize("name", EVERY)
def test_the_cost_of_every_detector_can_be_told(name: str) -> None:
    images, _ = batch()
    detector = fresh(name)
    learning = [each.requires_grad for each in detector.parameters()]
    cost = model_cost(detector, images, torch.device("cpu"))
    assert cost.gflops > 0
    assert cost.parameters == sum(each.numel() for each in detector.parameters())
    assert [each.requires_grad for each in detector.parameters()] == learning


def located(boxes: Tensor, scores: Tensor) -> Tensor:
    """(B, N, 4 or more) float64: sides in pixels, and hundred times the scores."""
    return torch.cat([boxes.flatten(2), 100 * scores], dim=2).double()


@pytest.mark.parametrize("name", EVERY)
def test_folded_norms_change_no_prediction(name: str) -> None:
    images, _ = batch()
    detector = fresh(name)
    with torch.no_grad():
        for module in detector.modules():  # as a training leaves them: no norm is near the identity
            if isinstance(module, nn.BatchNorm2d) and module.weight is not None:
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
        plain = located(*detector.eval().candidates(images))
        folded = copy.deepcopy(detector)
        folded.fold_norms()
        apart = torch.cdist(
            located(*folded.candidates(images)), plain, compute_mode="donot_use_mm_for_euclid_dist"
        )
    # Queries of scores that are all but equal may change their places, but none may be lost.
    assert apart.amin(1).max() < 0.01
    assert apart.amin(2).max() < 0.01
    if name in FOLDED:
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
        assert len(folded.state_dict()) < len(detector.state_dict())
