"""The ultralytics adapter against ultralytics itself, and what a change of classes keeps."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.nms import non_max_suppression

from cluster.errors import UserError
from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.models.parted import Targets
from training.weights.transfer import transfer

SIDE = 64
SQUARE = Preprocessing(SIDE, "square")
CLASSES = ("crack", "fray", "hole")


def detector(name: str = "yolov8n", classes: tuple[str, ...] = CLASSES) -> Detector:
    torch.manual_seed(0)
    return build_detector(name, classes, SQUARE)


def batch(images: int = 3) -> tuple[Tensor, Targets]:
    torch.manual_seed(1)
    targets = {
        "image": torch.tensor([0, 0, 2]),
        "labels": torch.tensor([0, 2, 1]),
        "boxes": torch.tensor([[4.0, 6, 30, 40], [20, 20, 60, 50], [0, 0, 64, 64]]),
    }
    return torch.rand(images, 3, SIDE, SIDE), targets


def library_twin(ours: Detector) -> Any:
    """ultralytics' own model with the same weights."""
    model = DetectionModel(f"{ours.architecture}.yaml", ch=3, nc=len(ours.classes), verbose=False)
    model.args = get_cfg(DEFAULT_CFG)
    model.load_state_dict({f"{key}": value for key, value in ours.state_dict().items()}, strict=True)
    return model


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n"])
def test_loss_equals_the_librarys(name: str) -> None:
    ours = detector(name)
    theirs = library_twin(ours)
    images, targets = batch()
    loss, parts = ours(images, targets)
    x0, y0, x1, y1 = (targets["boxes"] / SIDE).unbind(1)
    total, items = theirs(
        {
            "img": images,
            "batch_idx": targets["image"].float(),
            "cls": targets["labels"].float()[:, None],
            "bboxes": torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=1),
        }
    )
    torch.testing.assert_close(loss, total.sum() / len(images), rtol=1e-5, atol=1e-5)
    for key, value in parts.items():
        torch.testing.assert_close(value, items[f"{key}_loss"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n"])
def test_predictions_equal_the_librarys(name: str) -> None:
    ours = detector(name)
    theirs = library_twin(ours).eval()
    images, _ = batch()
    with torch.no_grad():
        output = theirs(images)
    expected = non_max_suppression(
        output, 1e-6, 0.7, multi_label=True, max_det=20, nc=len(CLASSES), end2end=theirs.end2end
    )
    for found, rows in zip(ours.predict(images, min_score=1e-6, max_boxes=20), expected, strict=True):
        assert len(rows)
        torch.testing.assert_close(found.boxes, rows[:, :4].clamp(0, SIDE), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found.scores, rows[:, 4])
        assert found.labels.tolist() == rows[:, 5].long().tolist()


def test_predicting_leaves_mode_and_gradients_alone() -> None:
    ours = detector().train()
    found = ours.predict(batch()[0])
    assert ours.training
    assert all(module.training for module in ours.modules())
    assert not any(result.scores.requires_grad for result in found)


def test_a_batch_without_boxes_has_a_loss_and_gradients() -> None:
    ours = detector()
    images, targets = batch()
    loss, parts = ours(images, {key: value[:0] for key, value in targets.items()})
    loss.backward()
    assert float(parts["box"]) == 0
    assert loss.item() > 0
    assert all(p.grad is not None for p in ours.parameters() if p.requires_grad)


def test_state_dict_keys_are_the_librarys() -> None:
    ours = detector()
    assert list(ours.state_dict()) == list(library_twin(ours).state_dict())


def test_the_integration_of_box_distributions_is_never_trained() -> None:
    frozen = {name for name, parameter in detector().named_parameters() if not parameter.requires_grad}
    assert frozen == {"model.22.dfl.conv.weight"}


def test_a_frozen_backbone_keeps_weights_and_statistics_while_the_rest_learns() -> None:
    ours = detector()
    ours.freeze("backbone")
    before = copy.deepcopy(ours.state_dict())
    optimiser = torch.optim.SGD([p for p in ours.parameters() if p.requires_grad], lr=0.1)
    loss, _ = ours.train()(*batch())
    loss.backward()
    optimiser.step()
    changed = {ours.part_of(key) for key, value in ours.state_dict().items() if not value.equal(before[key])}
    assert changed == {"neck", "head", "classes"}


def test_a_deep_copy_is_independent() -> None:
    """The averaged weights of the loop are one."""
    ours = detector()
    twin = copy.deepcopy(ours)
    images, targets = batch()
    expected = twin(images, targets)[0]
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.zero_()
    torch.testing.assert_close(twin(images, targets)[0], expected)


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo12n", "yolo26n"])
def test_every_key_has_a_part_and_only_the_last_layers_follow_the_classes(name: str) -> None:
    few, many = detector(name, ("one",)), detector(name)
    shapes = {key: value.shape for key, value in few.state_dict().items()}
    differing = {key for key, value in many.state_dict().items() if value.shape != shapes[key]}
    assert differing == {key for key in shapes if many.part_of(key) == "classes"}
    assert {many.part_of(key) for key in shapes} == {"backbone", "neck", "head", "classes"}


def test_other_classes_keep_everything_but_the_last_layers() -> None:
    """Also from a file whose 80 classes made the class branch wider."""
    source = detector(classes=tuple(f"class {number}" for number in range(80)))
    state = source.state_dict()
    target = build_detector("yolov8n", CLASSES, SQUARE, like=state)
    report = transfer(target, state, part_of=target.part_of, only=("backbone", "neck", "head"))
    assert all(count.tensors == count.of_tensors for count in report.parts.values())
    for key, value in target.state_dict().items():
        if target.part_of(key) == "classes":
            assert value.shape[0] == len(CLASSES)
        else:
            assert value.equal(state[key]), key
    assert target(*batch())[0].isfinite()


def test_an_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(UserError, match='did you mean "yolov8n"'):
        build_detector("yolov8-n", CLASSES, SQUARE)


@pytest.mark.parametrize("classes", [(), ("a", "a")])
def test_classes_must_be_given_and_different(classes: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="one or more classes"):
        build_detector("yolov8n", classes, SQUARE)


@pytest.mark.parametrize("name", ["yolov8n", "yolo26n"])
def test_boxes_of_weight_one_give_the_librarys_loss_and_lighter_ones_less(name: str) -> None:
    ours = detector(name)
    images, targets = batch()
    ours.freeze("backbone+neck")
    losses = [
        float(ours(images, targets | {"weights": torch.full((3,), weight)})[0].detach())
        for weight in (1.0, 0.5, 0.0)
    ]
    assert losses[0] == pytest.approx(float(ours(images, targets)[0].detach()), rel=1e-6)
    assert losses[0] > losses[1] > losses[2]
    assert losses[0] - losses[1] == pytest.approx(losses[1] - losses[2], rel=1e-3)


def test_yolo26_moves_its_loss_to_the_nms_free_head_as_the_library_does() -> None:
    """ultralytics calls `update` after each epoch; ours follows from the epoch alone, a resumed run too."""
    ours, epochs = detector("yolo26n"), 5
    theirs = library_twin(ours)
    theirs.args.epochs = epochs
    criterion = theirs.init_criterion()
    images, targets = batch()
    for epoch in range(1, epochs + 1):
        ours.set_epoch(epoch, epochs)
        ours(images, targets)
        own: Any = ours.criterion(images.device)  # type: ignore[operator]
        assert (own.o2m, own.o2o) == pytest.approx((criterion.o2m, criterion.o2o))
        criterion.update()
    assert own.o2m == pytest.approx(0.1)
