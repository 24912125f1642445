"""A detector by file, artifact and registry name."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cluster.errors import UserError
from cluster.registry.provenance import file_tags
from cluster.registry.registry import register
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.starts.detector_file import load_detector, save_detector
from training.starts.model_source import open_model


def no_tracker() -> Tracker:
    raise AssertionError("the registry was asked")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finetune")
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack",), Preprocessing(64, "square"))
    save_detector(detector, Storage.open(str(folder)), "detector.safetensors", {})
    Storage.open(str(folder)).write_json("stage.json", {"fingerprint": "abc"})
    return folder


def test_a_file_and_an_artifact_are_the_same_detector(stage: Path) -> None:
    file = stage / "detector.safetensors"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for reference, lineage in (
        (str(file), {"file": str(file)}),
        (file.as_uri(), {"file": file.as_uri()}),
        (str(stage), {"artifact": "abc"}),
    ):
        with open_model(reference, no_tracker) as source:
            assert source.digest == digest
            assert source.lineage == lineage
            assert load_detector(source.path).classes == ("crack",)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.safetensors", "does not exist"),
        ("folder/missing", "does not exist"),
        ("model.pt", "other formats can run code"),
        ("empty", "no finished stage"),
        ("corpus", "a stage without detector"),
    ],
)
def test_what_is_no_detector_is_refused(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    Storage.open(str(tmp_path / "corpus")).write_json("stage.json", {"fingerprint": "abc"})
    with pytest.raises(UserError, match=told), open_model(str(tmp_path / name), no_tracker):
        pass


@pytest.mark.slow
def test_a_registered_model_is_found_by_name_version_and_alias(
    stage: Path, tmp_path: Path, tracked: Callable[[Path], Path]
) -> None:
    tracker = Tracker.open(TrackingSection(), Storage.open(str(tracked(tmp_path))))
    with pytest.raises(UserError, match="steel"), open_model("steel", lambda: tracker):
        pass
    run = tracker.create_run("test", {})
    run.log_file(stage / "detector.safetensors", "weights")
    digest = hashlib.sha256((stage / "detector.safetensors").read_bytes()).hexdigest()
    tags = {"fingerprint": "abc", **file_tags({"detector.safetensors": digest})}
    assert register(run, name="steel", folder="weights", tags=tags, description="") == 1
    for reference in ("steel", "steel@1", "steel@candidate"):
        with open_model(reference, lambda: tracker) as source:
            assert source.name == "steel@1"
            assert source.lineage == {"model": "steel@1"}
            assert load_detector(source.path).architecture == "yolov8n"
        assert not source.path.exists()
    with pytest.raises(UserError, match="champion"), open_model("steel@champion", lambda: tracker):
        pass
