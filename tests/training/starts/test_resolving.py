"""Where first weights come from: published ones, files, stages, the registry; what a start fills."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor
from ultralytics.nn.tasks import ClassificationModel, DetectionModel

from cluster.errors import UserError
from cluster.registry.provenance import file_tags
from cluster.registry.registry import register
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from training.agbp.section import BackboneSection
from training.agbp.stage import started_backbone
from training.models.backbones.base import build, published_backbone
from training.models.backbones.filling import fill
from training.models.letterbox import Preprocessing
from training.models.ultralytics_weights import detector_keys
from training.starts.backbone_file import load_backbone, save_backbone
from training.starts.filling import filled_detector
from training.starts.resolving import Start, resolve_start
from training.weights.files import save_weights


def no_tracker() -> Tracker:
    raise AssertionError("the registry was asked")


def resolve(word: str, name: str = "yolov8n") -> Start:
    return resolve_start(word, name, no_tracker)


def equal(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[key], other[key]) for key in state)


def put_into_hub(folder: Path, repository: str, state: dict[str, Tensor]) -> None:
    """Lay a file where huggingface_hub keeps what it has downloaded."""
    entry = folder / f"models--{repository.replace('/', '--')}"
    (entry / "refs").mkdir(parents=True)
    (entry / "refs" / "main").write_text("0" * 40)
    snapshot = entry / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(state, snapshot / "model.safetensors")


@pytest.fixture
def offline_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """huggingface_hub without a network, with a cache of its own."""
    import huggingface_hub.constants as constants
    import huggingface_hub.file_download as download

    cache = tmp_path / "hub"
    for module in (constants, download):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(cache), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def test_imagenet_of_timm_is_what_its_hub_holds(offline_hub: Path) -> None:
    torch.manual_seed(3)
    theirs = timm.create_model("resnet18.a1_in1k").state_dict()
    put_into_hub(offline_hub, "timm/resnet18.a1_in1k", theirs)
    backbone = build("resnet18")
    start = resolve("imagenet", "resnet18")
    report = fill(backbone, start.state, start.source, whole=start.whole)
    kept = {key: x for key, x in theirs.items() if not key.startswith("fc.")}
    assert equal(backbone.library_state_dict(), kept)
    assert report.parts["backbone"].parameters == report.parts["backbone"].of_parameters
    assert start.digest == resolve("imagenet", "resnet18").digest


def test_without_a_network_one_sentence_says_what_to_do(
    offline_hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"can't be had .* model\.safetensors") as caught:
        resolve("imagenet", "resnet18")
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(UserError, match=r"yolov8n\.pt can't be downloaded .* put the file at .*yolov8n\.pt"):
        resolve("coco")


def refuse(*_: Any, **__: Any) -> Any:
    raise OSError("there is no network")


def test_coco_of_ultralytics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = DetectionModel("yolov8n.yaml", verbose=False).half()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save({"model": model, "train_args": {}}, folder / "yolov8n.pt")
    assert equal(published_backbone("yolov8n", "coco"), model.state_dict())


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n", "yolo12n", "yolo26n"])
def test_a_classifiers_backbone_fits_the_detector(name: str) -> None:
    """ImageNet weights of ultralytics are classifiers': every layer but the head has its place, by output."""
    torch.manual_seed(0)
    classifier = ClassificationModel(f"{name}-cls.yaml", verbose=False).eval()
    for module in classifier.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3  # as the library's detectors have it
    backbone = build(name)
    keys = detector_keys(name, classifier.state_dict())
    report = fill(backbone, keys, "classifier", whole=False)
    assert not report.unused
    body = classifier.model[:-1]
    assert report.parts["backbone"].parameters == sum(x.numel() for x in body.parameters())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        own, x = backbone.eval()(image), image
        for layer in body[:7]:
            x = layer(x)
    assert torch.equal(own[2], x)


def test_what_is_not_published_is_said() -> None:
    with pytest.raises(UserError, match="no coco weights of resnet18; give imagenet"):
        resolve("coco", "resnet18")
    with pytest.raises(UserError, match="no imagenet weights of yolo12n; valid: coco, scratch"):
        resolve("imagenet", "yolo12n")


def test_files_stages_and_their_digests(tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = build("resnet18")
    stage = Storage.open(str(tmp_path / "stage"))
    stage.create()
    save_backbone(backbone, stage, "backbone.safetensors", image_size=64, lineage={"corpus": "c0"})
    torch.save(backbone.library_state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match="is no finished stage"):
        resolve(str(tmp_path / "stage"))
    stage.write_json("stage.json", {"fingerprint": "f0"})
    from_file = resolve(str(tmp_path / "stage" / "backbone.safetensors"))
    from_stage = resolve(str(tmp_path / "stage"))
    assert equal(from_file.state, backbone.library_state_dict())
    assert from_file.digest == from_stage.digest
    assert from_file.metadata["architecture"] == "resnet18"
    assert equal(resolve(str(tmp_path / "w.pth")).state, from_file.state)
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes((tmp_path / "stage" / "backbone.safetensors").read_bytes())
    assert resolve(str(moved)).digest == from_file.digest


def test_a_released_checkpoint_in_its_own_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a backbone and of a detector on it, with one sentence on what it is; its digest is the file's."""
    torch.manual_seed(0)
    theirs = timm.create_model("resnet18")
    state = {f"backbone.{key}": x for key, x in theirs.state_dict().items() if not key.startswith("fc.")}
    file = tmp_path / "mmpretrain.pth"
    torch.save({"meta": {}, "state_dict": {**state, "head.fc.weight": torch.ones(2, 2)}}, file)
    start = resolve(str(file), "resnet18")
    backbone = build("resnet18")
    fill(backbone, start.state, start.source)
    assert equal(
        backbone.library_state_dict(), {key.removeprefix("backbone."): x for key, x in state.items()}
    )
    assert start.digest == hashlib.sha256(file.read_bytes()).hexdigest()
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "a ResNet in the keys of mmpretrain and mmdet: 120 tensors taken; 1 has no place here (head)" in said
    )
    name = "yolov8n+resnet18"
    detector, report = filled_detector(
        name,
        ("a",),
        Preprocessing(64, "square"),
        0,
        state=resolve(str(file), name).state,
        metadata={},
        source="s",
    )
    assert report.parts["backbone"].parameters == report.parts["backbone"].of_parameters
    assert any(
        torch.equal(x, state["backbone.layer4.1.conv2.weight"]) for x in detector.state_dict().values()
    )


def test_the_registry_by_alias_and_version(tmp_path: Path, tracked: Callable[[Path], Path]) -> None:
    tracker = Tracker.open(TrackingSection(), Storage.open(str(tracked(tmp_path))))
    run = tracker.create_run("backbone", {})
    state = build("resnet18").library_state_dict()
    save_weights(tmp_path / "backbone.safetensors", state, {"architecture": "resnet18"})
    run.log_file(tmp_path / "backbone.safetensors", "weights")
    digest = hashlib.sha256((tmp_path / "backbone.safetensors").read_bytes()).hexdigest()
    tags = {"fingerprint": "a", **file_tags({"backbone.safetensors": digest})}
    register(run, name="s-backbone", folder="weights", tags=tags, alias="champion", description="b")
    for word in ("s-backbone@champion", "models:/s-backbone@champion", "models:/s-backbone/1", "s-backbone"):
        start = resolve_start(word, "resnet18", lambda: tracker)
        assert equal(start.state, state)
        assert start.source == "s-backbone@1"
    with pytest.raises(
        UserError, match='"s-backbone" has no version or alias "champ"; did you mean "champion"'
    ):
        resolve_start("models:/s-backbone@champ", "resnet18", lambda: tracker)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "none/w.safetensors",
            r"none/w\.safetensors does not exist; give a \.safetensors or \.pt or \.pth or \.pth\.tar file",
        ),
        ("w.onnx", r"is no \.safetensors or \.pt or \.pth or \.pth\.tar file"),
    ],
)
def test_words_that_mean_nothing(word: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match=message):
        resolve(str(tmp_path / word))


def test_what_a_start_fills_is_recorded_and_nothing_is_refused(tmp_path: Path) -> None:
    whole = timm.create_model("resnet18")
    save_file(whole.state_dict(), tmp_path / "w.safetensors")
    section = BackboneSection(name="resnet18", start=str(tmp_path / "w.safetensors"), image_size=64)
    backbone, record = started_backbone(section, resolve(section.start), seed=0)
    count = sum(x.numel() for x in backbone.parameters())
    assert record is not None
    assert record["parts"]["backbone"]["parameters"] == record["parts"]["backbone"]["of_parameters"] == count
    assert record["unused"] == 2  # the classifier's weight and bias
    json.dumps(record)
    save_file({"other": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"w\.safetensors: The weights fill nothing"):
        started_backbone(section, resolve(section.start), seed=0)
    part = {key: x for key, x in whole.state_dict().items() if not key.startswith("layer4.1.")}
    save_file(part, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"is not a resnet18 \(it lacks layer4\.1"):
        started_backbone(section, resolve(section.start), seed=0)
    assert started_backbone(BackboneSection(image_size=64), None, seed=0)[1] is None
    with pytest.raises(UserError, match="takes images of 256 px alone"):
        started_backbone(BackboneSection(name="maxvit_rmlp_pico_rw_256", image_size=224), None, seed=0)


def test_a_backbones_file_comes_back_and_others_are_refused(tmp_path: Path) -> None:
    folder = Storage.open(str(tmp_path))
    backbone = build("convnext_atto").eval()
    save_backbone(backbone, folder, "b.safetensors", image_size=64, lineage={})
    again = load_backbone(tmp_path / "b.safetensors")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for own, other in zip(again(image), backbone(image), strict=True):
            assert torch.equal(own, other)
    metadata = {"kind": "backbone", "architecture": "convnext_atto"}
    state = backbone.library_state_dict()
    for fault, tensors in {
        "stem.0.weight": {key: x for key, x in state.items() if key != "stem.0.weight"},
        "extra": {**state, "extra": torch.ones(1)},
        "stem.0.bias": {**state, "stem.0.bias": torch.ones(1)},
    }.items():
        save_weights(tmp_path / "b.safetensors", tensors, metadata)
        with pytest.raises(UserError, match=f'"{fault}"'):
            load_backbone(tmp_path / "b.safetensors")
    save_weights(tmp_path / "b.safetensors", state, {"kind": "detector"})
    with pytest.raises(UserError, match="is not a backbone made here"):
        load_backbone(tmp_path / "b.safetensors")
