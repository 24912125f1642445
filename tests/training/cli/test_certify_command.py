"""`agssp certify`: the page and its JSON, the leak check, and what can't be certified."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from agssp import app
from cluster.registry.provenance import file_tags
from cluster.registry.registry import register
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.surfaces.generator import write_corpus
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.starts.detector_file import WEIGHTS_FILE, save_detector

RAIL: Any = {"defect_share": 0.6, "categories": ["rail"]}
NAME = "line-finetune-yolov8n"
FEW = ["certify.robust_images=10", "certify.latency_images=3"]


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


def enter(folder: Path, workspace: Path, making: Mapping[str, Any] | None) -> None:
    """Register a random detector whose `model.json` is that."""
    folder.mkdir()
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(64, "letterbox")).eval()
    state = detector.state_dict()
    for key in state:
        if detector.part_of(key) == "classes" and key.endswith("bias"):
            nn.init.zeros_(state[key])  # untrained, but with boxes to see
    save_detector(detector, Storage.open(str(folder)), WEIGHTS_FILE, {})
    files = [folder / WEIGHTS_FILE]
    if making is not None:
        files.append(folder / "model.json")
        files[1].write_text(json.dumps(making))
    tracker = Tracker.open(TrackingSection(), Storage.open(str(workspace)))
    tracked = tracker.create_run("detector", {})
    for file in files:
        tracked.log_file(file, "weights")
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    tags = {"fingerprint": folder.name, "seeds": '{"finetune": 7}', **file_tags(digests)}
    register(tracked, name=NAME, folder="weights", tags=tags, alias="champion", description="a <detector>")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, tracked: Callable[[Path], Path]) -> Path:
    return tracked(tmp_path_factory.mktemp("line") / "w")


@pytest.fixture(scope="module")
def words(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("rails") / "made"
    write_corpus(folder, seed=3, images_per_category=40, size=64, **RAIL)
    return [f"corpus.root={folder}", f"workspace={workspace}", *FEW]


@pytest.fixture(scope="module")
def corpus(words: list[str]) -> str:
    """Fingerprint of the corpus that the test part is of."""
    code, made, stderr = run("corpus", *words)
    assert code == 0, stderr
    return str(made["fingerprint"])


def test_the_page_holds_what_the_json_holds_and_nothing_from_elsewhere(
    words: list[str], corpus: str, workspace: Path, tmp_path: Path
) -> None:
    stages = {"corpus": {"fingerprint": corpus, "config": {"seed": "<b>"}, "versions": {}}}
    enter(tmp_path / "one", workspace, {"stages": stages, "licences": {"start coco": "AGPL-3.0"}})
    code, made, stderr = run("certify", f"{NAME}@champion", *words)
    assert code == 0, stderr
    told = made["results"]
    assert (told["leaked"], told["leak_known"]) == (0, True)
    folder = Path(made["directory"])
    page, content = Path(made["page"]).read_text(), (folder / "certificate.json").read_bytes()
    document = json.loads(content)
    assert hashlib.sha256(content).hexdigest() in page
    weights = hashlib.sha256((tmp_path / "one" / WEIGHTS_FILE).read_bytes()).hexdigest()
    assert document["model"]["weights_sha256"] == weights
    assert document["model"]["seeds"] == {"finetune": 7}
    for said in (weights, corpus, "AGPL-3.0", "a &lt;detector&gt;", "NOT measured", "finetune 7"):
        assert said in page
    assert "a <detector>" not in page
    assert "<script" not in page
    assert not [word for word in ('src="http', "href=", "url(", "@import") if word in page]
    rows = pq.read_table(folder / "defects.parquet").to_pylist()
    assert len(rows) == document["data"]["defects"] == document["recall"]["all"]["of"]
    assert sum(row["found"] for row in rows) == document["recall"]["all"]["count"] == told["found"]
    # Some twenty defects are no sixty: no size is told, and the page says so.
    assert document["pod"]["curve"] is None
    assert "too few for a curve" in page
    assert told["a90"] is None
    assert len(document["robustness"]) == 9
    assert document["latency"]["median_ms"] > 0
    assert "threads" in document["latency"]["machine"]
    code, again, _ = run("certify", f"{NAME}@champion", *words)
    assert (code, again["reused"]) == (0, True)


def test_test_images_that_were_learnt_from_are_in_no_figure(
    words: list[str], corpus: str, workspace: Path, tmp_path: Path
) -> None:
    code, whole, stderr = run("corpus", *words, "corpus.test_share=0.2")
    assert code == 0, stderr
    enter(tmp_path / "two", workspace, {"stages": {"corpus": {"fingerprint": whole["fingerprint"]}}})
    code, made, stderr = run("certify", NAME, *words)
    assert code == 2, stderr
    document = json.loads((Path(made["directory"]) / "certificate.json").read_text())
    data = document["data"]
    assert made["results"]["leaked"] == data["seen"] == document["leak"]["exact"] > 0
    assert data["images"] + data["seen"] + data["near_duplicates"] == data["test_images"]
    assert made["results"]["verdicts"][0]["kind"] == "leak"
    code, made, _ = run("corpus", *words, "corpus.test_share=0")
    enter(tmp_path / "three", workspace, {"stages": {"corpus": {"fingerprint": made["fingerprint"]}}})
    code, failed, _ = run("certify", NAME, *words)
    assert code == 2
    assert "no labelled defect in the test part that the detector has not seen" in failed["error"]


def test_what_is_not_known_of_the_training_is_said(
    words: list[str], corpus: str, workspace: Path, tmp_path: Path
) -> None:
    for name, making, why in (
        ("four", None, "the registry does not say which images"),
        ("five", {"stages": {"corpus": {"fingerprint": "f" * 64}}}, "which are not in this workspace"),
        (
            "six",
            {
                "stages": {
                    "corpus": {"fingerprint": corpus},
                    "finetune": {"config": {"start": "ours"}, "extra": {"weights": "ab" * 32}},
                }
            },
            "weights that it began with (finetune: SHA-256 abababababababab)",
        ),
    ):
        enter(tmp_path / name, workspace, making)
        code, made, stderr = run("certify", NAME, *words)
        assert code == 0, stderr
        assert made["results"]["leak_known"] is False
        first = made["results"]["verdicts"][0]
        assert first["kind"] == "leak_unknown"
        assert "NOT checked" in first["sentence"]
        assert why in first["sentence"]
        assert "Whether the detector has seen the test part" in Path(made["page"]).read_text()


def test_faults_are_told_in_a_sentence(words: list[str], corpus: str, tmp_path: Path) -> None:
    code, failed, _ = run("certify", "lime@champion", *words)
    assert code == 2
    assert 'There is no registered model "lime"' in failed["error"]
    code, failed, _ = run("certify", NAME, f"workspace={tmp_path / 'w'}")
    assert code == 2
    assert "corpus.root is not set" in failed["error"]
    code, failed, _ = run("certify", NAME, *words, "certify.iou=0")
    assert code == 2
    assert "certify.iou" in failed["error"]
