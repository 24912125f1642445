"""Backbones of ultralytics: keys, features, starts, freezing."""

import math
from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import DetectionModel, yaml_model_load

from cluster.errors import UserError
from tests.repository import shared
from training.models.backbones.base import Backbone, Stage, build
from training.models.backbones.filling import load_start
from training.models.names import backbone_names
from training.weights.files import load_weights, save_weights

COCO = "weights/yolov8n_coco_int8.safetensors"  # of `shared`


@pytest.fixture
def yolo() -> Backbone:
    torch.manual_seed(0)
    return build("yolov8n")


def test_stages_are_p2_to_p5(yolo: Backbone) -> None:
    assert yolo.stages == (Stage(4, 32), Stage(8, 64), Stage(16, 128), Stage(32, 256))
    features = yolo(torch.rand(2, 3, 96, 64))
    assert [tuple(x.shape) for x in features] == [
        (2, 32, 24, 16),
        (2, 64, 12, 8),
        (2, 128, 6, 4),
        (2, 256, 3, 2),
    ]


@pytest.mark.parametrize("name", ["yolo11n", "yolo12n", "yolo26n", "yolov8s"])
def test_other_families_have_the_same_strides(name: str) -> None:
    backbone = build(name)
    assert [stage.stride for stage in backbone.stages] == [4, 8, 16, 32]
    features = backbone(torch.rand(2, 3, 64, 64))
    assert [x.shape[1] for x in features] == [stage.channels for stage in backbone.stages]


def test_a_whole_detector_loads_it_and_sees_the_same(yolo: Backbone, tmp_path: Path) -> None:
    for _ in range(2):
        yolo(torch.rand(4, 3, 64, 64))  # batch norms of its own
    save_weights(tmp_path / "b.safetensors", yolo.library_state_dict(), {"architecture": "yolov8n"})
    detector = DetectionModel("yolov8n.yaml", ch=3, nc=3, verbose=False)
    missing, unexpected = detector.load_state_dict(load_weights(tmp_path / "b.safetensors")[0], strict=False)
    assert not unexpected
    assert all(int(key.split(".")[1]) > 9 for key in missing)
    detector.eval()
    yolo.eval()
    x = image = torch.rand(1, 3, 64, 64)
    theirs = []
    with torch.no_grad():
        for index, layer in enumerate(detector.model[:10]):
            x = layer(x)
            if index in (2, 4, 6, 9):
                theirs.append(x)
        for own, other in zip(yolo(image), theirs, strict=True):
            assert torch.equal(own, other)


def test_start_from_a_whole_detector(tmp_path: Path) -> None:
    torch.manual_seed(1)
    detector = DetectionModel("yolov8n.yaml", ch=3, nc=80, verbose=False)
    half = {key: x.half() if x.is_floating_point() else x for key, x in detector.state_dict().items()}
    save_weights(tmp_path / "d.safetensors", half, {})
    backbone = build("yolov8n")
    report = load_start(backbone, tmp_path / "d.safetensors")
    count = report.parts["backbone"]
    assert (count.tensors, count.parameters) == (count.of_tensors, count.of_parameters)
    assert count.parameters == 1_272_656
    key = "model.4.cv1.conv.weight"
    assert torch.equal(backbone.state_dict()[key], detector.state_dict()[key].half().float())
    assert len(report.unused) == len(half) - count.tensors


def test_starts_that_do_not_fit_are_refused(yolo: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    save_weights(path, yolo.library_state_dict(), {})
    with pytest.raises(UserError, match=r"model\.0\.conv\.weight has shape \(16, 3, 3, 3\)"):
        load_start(build("yolov8s"), path)
    part = {key: x for key, x in yolo.library_state_dict().items() if not key.startswith("model.9.")}
    save_weights(path, part, {})
    with pytest.raises(UserError, match=r"is not a yolov8n \(it lacks model\.9\.cv1\.conv\.weight"):
        load_start(yolo, path)


@pytest.mark.data
def test_the_coco_start_fills_all(yolo: Backbone) -> None:
    report = load_start(yolo, shared(COCO))
    assert report.parts["backbone"].parameters == 1_272_656
    assert next(yolo.parameters()).dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize("family", ["yolov8", "yolo11", "yolo12", "yolo26"])
def test_every_size_builds(family: str) -> None:
    """Wider or deeper from n to x, and each stage as wide as the library's own width rule makes it."""
    counts = []
    for size in "nsmlx":
        backbone = build(family + size)
        assert [stage.stride for stage in backbone.stages] == [4, 8, 16, 32]
        config = yaml_model_load(f"{family}{size}.yaml")
        _, width, most = config["scales"][size]
        last = backbone.stages[-1].channels
        assert last == math.ceil(min(1024, most) * width / 8) * 8
        counts.append(sum(parameter.numel() for parameter in backbone.parameters()))
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("name", ["yolo11n", "yolo12n", "yolo26n"])
def test_frozen_stages_of_other_families_stay_bit_by_bit(name: str) -> None:
    torch.manual_seed(0)
    backbone = build(name)
    assert backbone.family == "cnn"
    backbone.freeze(2)
    backbone.train()
    before = {key: x.clone() for key, x in backbone.state_dict().items()}
    loss = torch.stack([x.square().mean() for x in backbone(torch.rand(2, 3, 64, 64))]).sum()
    torch.autograd.backward(loss)
    torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1).step()
    state = backbone.state_dict()
    changed = {int(key.split(".")[1]) for key in state if not torch.equal(state[key], before[key])}
    assert changed == set(range(5, len(backbone.stage_modules(4))))


@pytest.mark.parametrize("stages", [0, 2, 4])
def test_frozen_stages_keep_weights_and_statistics(yolo: Backbone, stages: int) -> None:
    yolo.freeze(stages)
    yolo.train()
    before = {key: x.clone() for key, x in yolo.state_dict().items()}
    features = yolo(torch.rand(4, 3, 64, 64))
    learning = [p for p in yolo.parameters() if p.requires_grad]
    if stages < 4:
        sum(x.square().mean() for x in features).backward()
        torch.optim.SGD(learning, lr=0.1).step()
    frozen = {0: -1, 2: 4, 4: 9}[stages]
    changed = {int(k.split(".")[1]) for k, x in yolo.state_dict().items() if not torch.equal(x, before[k])}
    assert changed == set(range(frozen + 1, 10))


def test_unknown_names_and_stages_are_told(yolo: Backbone) -> None:
    assert {"yolov8n", "yolov8x", "yolo11s", "yolo26m"} <= set(backbone_names())
    with pytest.raises(UserError, match='There is no backbone "yolo8n"; did you mean "yolov8n"'):
        build("yolo8n")
    with pytest.raises(UserError, match="yolov8n has 4 stages"):
        yolo.freeze(5)
