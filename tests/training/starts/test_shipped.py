"""The start `surface`: its file, where it may be named, and the command that makes it."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

from agssp import app
from cluster.errors import UserError
from cluster.storage.storage import Storage
from cluster.tracking.tracker import Tracker
from training.detection.section import DetectorSection, FinetuneSection
from training.models.letterbox import Preprocessing
from training.starts import shipped
from training.starts.detector_file import load_detector, save_detector
from training.starts.filling import filled_detector, fresh_detector
from training.starts.resolving import resolve_start
from training.starts.shipped import write_start
from training.weights.files import save_weights


def no_tracker() -> Tracker:
    raise AssertionError("the registry was asked")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    detector = fresh_detector("yolov8n", ("anomaly",), Preprocessing(64, "square"), 0)
    save_detector(detector, Storage.open(str(tmp_path)), "whole.safetensors", {"corpus": "c" * 64})
    return tmp_path / "whole.safetensors"


def test_a_start_is_half_the_size_and_says_what_made_it(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "half.safetensors"
    digest = write_start(made, target, {"stages": {"detector": {"fingerprint": "f"}}})
    assert digest == hashlib.sha256(target.read_bytes()).hexdigest()
    assert target.stat().st_size <= 7_000_000
    before, after = load_file(made), load_file(target)
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        assert after[key].dtype == (torch.float16 if tensor.ndim > 1 else tensor.dtype)
        assert torch.equal(after[key], tensor.to(after[key].dtype))
    with safe_open(target, "pt") as file:
        told = json.loads(file.metadata()["agssp"])
    assert told["licence"] == "AGPL-3.0-or-later"
    assert (told["architecture"], told["classes"]) == ("yolov8n", ["anomaly"])
    assert told["lineage"] == {"corpus": "c" * 64}
    assert told["stages"]["detector"]["fingerprint"] == "f"
    assert {each.dtype for each in load_detector(target).parameters()} == {torch.float32}


def test_a_weight_beyond_float16_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "big.safetensors", {"a": torch.full((2, 2), 1e6)}, {})
    with pytest.raises(UserError, match='tensor "a" is too large for float16'):
        write_start(tmp_path / "big.safetensors", tmp_path / "half.safetensors", {})
    assert not (tmp_path / "half.safetensors").exists()


def test_the_word_surface_names_the_shipped_file(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "SHIPPED", tmp_path / "half.safetensors")
    with pytest.raises(UserError, match="agssp train start --out FOLDER"):
        resolve_start("surface", "yolov8n", no_tracker)
    digest = write_start(made, tmp_path / "half.safetensors", {})
    start = resolve_start("surface", "yolov8n", no_tracker)
    assert start.digest == digest
    _, report = filled_detector(
        "yolov8n",
        ("pit", "crack"),
        Preprocessing(64, "square"),
        0,
        state=start.state,
        metadata=start.metadata,
        source=start.source,
    )
    assert report.parts["backbone"].parameters == report.parts["backbone"].of_parameters
    with pytest.raises(UserError, match="give weights of yolov8s"):
        filled_detector(
            "yolov8s",
            ("pit",),
            Preprocessing(64, "square"),
            0,
            state=start.state,
            metadata=start.metadata,
            source=start.source,
        )


def test_surface_may_be_named_wherever_coco_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("surface").mkdir()  # a folder of that name is not what is meant
    section = FinetuneSection.model_validate({"starts": ["scratch", "coco", "surface"]})
    assert section.given == {"coco": "coco", "surface": "surface"}
    assert DetectorSection.model_validate({"start": "surface"}).begins_with == "surface"
    with pytest.raises(ValidationError, match='can\'t be named "surface"'):
        FinetuneSection.model_validate({"starts": ["surface"], "weights": {"surface": "a.pt"}})


def test_the_command_makes_a_start_and_finds_it_again(tmp_path: Path) -> None:
    words = [
        "train", "start", "--out", str(tmp_path / "start"), "--json",
        "generate.images_per_category=12", "generate.categories=[casting]", "generate.lines=3",
        "generate.size=64", "detector.image_size=32", "detector.loop.epochs=1",
    ]  # fmt: skip
    first, second = (CliRunner().invoke(app, words, catch_exceptions=False) for _ in range(2))
    results = [json.loads(each.stdout.splitlines()[-1]) for each in (first, second)]
    assert [each["reused"] for each in results] == [False, True]
    file = tmp_path / "start" / "detector.safetensors"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert [each["results"]["sha256"] for each in results] == [digest, digest]
    detector = load_detector(file)
    assert (detector.architecture, detector.classes) == ("yolov8n", ("anomaly",))
    with safe_open(file, "pt") as weights:
        stages = json.loads(weights.metadata()["agssp"])["stages"]
    assert set(stages) == {"surfaces", "corpus", "detector"}
    assert stages["surfaces"]["config"]["lines"] == 3
    assert str(tmp_path) not in json.dumps(stages)  # the file goes to others
