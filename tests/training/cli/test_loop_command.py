"""`agssp loop`: a round from new images to a decision, killed on its way, and what is refused."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from agssp import app
from cluster.registry.promotion import _point
from cluster.registry.provenance import Evaluation, file_tags
from cluster.registry.registry import Registry, register
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.surfaces.generator import write_corpus
from pipelines.tables import CorpusTables
from training.export.registration_stage import labels_digest
from training.improving import deciding
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.starts.detector_file import WEIGHTS_FILE, save_detector

RAIL: Any = {"defect_share": 0.6, "categories": ["rail"]}
NAME = "line-finetune-yolov8n"
BOX = "0 0.5 0.5 0.3 0.3\n"


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


def tracker_of(workspace: Path) -> Tracker:
    return Tracker.open(TrackingSection(), Storage.open(str(workspace)))


def enter(workspace: Path, folder: Path, corpus: Mapping[str, Any], stages: Mapping[str, str]) -> None:
    """Register an untrained detector of the corpus' classes, judged on its test split, as the one in use."""
    tables = CorpusTables(Storage.open(corpus["directory"]))
    labels = tables.labels()
    classes = tuple(sorted({box["label"] for row in labels.values() for box in row["boxes"]}))
    folder.mkdir()
    torch.manual_seed(0)
    detector = build_detector("yolov8n", classes, Preprocessing(64, "letterbox")).eval()
    state = detector.state_dict()
    for key in state:
        if detector.part_of(key) == "classes" and key.endswith("bias"):
            nn.init.zeros_(state[key])  # untrained, but with boxes to see
    save_detector(detector, Storage.open(str(folder)), WEIGHTS_FILE, {})
    making = {"stages": {name: {"fingerprint": value} for name, value in stages.items()}}
    (folder / "model.json").write_text(json.dumps(making))
    tracked = tracker_of(workspace).create_run("detector", {})
    digests = {}
    for file in (folder / WEIGHTS_FILE, folder / "model.json"):
        tracked.log_file(file, "weights")
        digests[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    ids = sorted(tables.held_out())
    figures = {"map50": 0.1, "map50_95": 0.1}
    judged = Evaluation("line", labels_digest(labels, ids), len(ids), figures)
    tags = {"fingerprint": folder.name, "start": "scratch", **file_tags(digests), **judged.tags()}
    register(tracked, name=NAME, folder="weights", tags=tags, alias="champion", description="untrained")


def move_alias(workspace: Path, to: int, previous: int) -> None:
    tracker = tracker_of(workspace)
    _point(tracker, Registry.open(tracker).version(f"{NAME}@{to}"), "champion", "{}", previous)


def label(folder: Path, names: list[str], text: str = BOX) -> None:
    """What a person exports: a YOLO file an image, without images."""
    (folder / "labels").mkdir(exist_ok=True)
    classes = (folder.parent / "to-label/classes.txt").read_text()
    (folder / "classes.txt").write_text(classes)
    for name in names:
        (folder / "labels" / f"{Path(name).stem}.txt").write_text(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labelled corpus of 30 rails, and 10 rails that nobody has labelled."""
    folder = tmp_path_factory.mktemp("rails")
    write_corpus(folder / "corpus", seed=3, images_per_category=30, size=64, **RAIL)
    write_corpus(folder / "made", seed=8, images_per_category=12, size=64, **RAIL)
    (folder / "new").mkdir()
    pictures = sorted(path for path in (folder / "made").rglob("*.png") if "mask" not in path.name)
    for number, path in enumerate(pictures[:10]):
        Image.open(path).save(folder / f"new/{number}.png")
    return folder


@pytest.fixture(scope="module")
def words(made: Path, tracked: Callable[[Path], Path]) -> list[str]:
    tracked(made / "w")
    return [
        "name=line",
        f"corpus.root={made / 'corpus'}",
        f"workspace={made / 'w'}",
        "maps.kead.shots=0",
        "drift.least=8",
        "drift.splits=200",
        "next.count=4",
        f"active_learning.images={made / 'new'}",
        f"active_learning.out={made / 'out'}",
        "active_learning.to=yolo",
        "active_learning.draws=99",
        "finetune.starts=[scratch]",
        "finetune.image_size=64",
        "finetune.validation_share=0",
        "finetune.loop.best_metric=null",
        "finetune.loop.epochs=1",
        "finetune.loop.batch_size=8",
    ]


def test_a_round_is_asked_labelled_killed_and_decided(
    words: list[str], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, failed, _ = run("loop", *words)
    assert (code, failed["error"][:40]) == (2, 'There is no registered model "line-finet')
    code, corpus, stderr = run("corpus", *words)
    assert code == 0, stderr
    enter(made / "w", made / "one", corpus, {"corpus": corpus["fingerprint"]})

    code, asked, stderr = run("loop", *words, "--despite", "drift")
    assert code == 0, stderr
    (row,) = asked["rounds"]
    assert (asked["state"], asked["in_use"]) == ("label", f"{NAME}@1")
    assert (row["new_images"], row["asked"], row["labelled"], row["missing"]) == (10, 4, 0, 4)
    folder = made / "out/round-001"
    names = [Path(one["uri"]).name for one in row["lineage"]["asked"]["images"]]
    assert sorted(path.name for path in (folder / "to-label/images").iterdir()) == sorted(names)
    assert f"Label the 4 images in {folder}/to-label with" in asked["next"]
    record = made / "w/loop" / NAME / "round-001/round.json"
    before = record.read_bytes()
    assert run("loop", *words)[1]["next"] == asked["next"]
    assert record.read_bytes() == before, "what went out is nobody's label"

    label(folder / "labelled", names[:2])
    code, some, stderr = run("loop", *words)
    assert code == 0, stderr
    assert "2 of 4 images are labelled" in some["next"]
    assert (some["rounds"][0]["labelled"], some["rounds"][0]["missing"]) == (2, 2)
    label(folder / "labelled", names[2:], "9 0.5 0.5 0.3 0.3\n")
    code, failed, _ = run("loop", *words)
    assert code == 2
    assert "can't be read" in failed["error"]
    label(folder / "labelled", names[2:3])
    label(folder / "labelled", names[3:], "")

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(deciding, "compare_versions", killed)
        code, _, _ = run("loop", *words)
    assert code == 130
    shown = run("loop", *words, "--show")[1]
    assert (shown["state"], shown["rounds"][0]["normal"]) == ("train", 1)
    shutil.rmtree(folder / "labelled")  # the labels are kept

    enter(made / "w", made / "two", corpus, {"corpus": corpus["fingerprint"]})
    code, failed, _ = run("loop", *words)
    assert code == 2
    assert "points at version 3 by now, and round 1 began with line-finetune-yolov8n@1" in failed["error"]
    move_alias(made / "w", 1, 3)

    code, decided, stderr = run("loop", *words)
    assert code == 0, stderr
    (row,) = decided["rounds"]
    assert (decided["state"], row["candidate_model"]) == ("decided", f"{NAME}@2")
    assert 0 < row["p"] <= 1
    assert row["promoted"] is False
    assert f"{NAME}@1 stays" in row["decision"]
    lineage = row["lineage"]
    assert set(lineage["stages"]) >= {"labels", "predict", "next", "returned", "finetune", "compare"}
    learnt = CorpusTables(Storage.open(lineage["stages"]["labels"]["directory"]))
    assert set(lineage["labels"]["images"]) <= learnt.labelled() - learnt.held_out()
    assert learnt.held_out() == CorpusTables(Storage.open(corpus["directory"])).held_out()
    page = Path(decided["page"]).read_text()
    assert "<script" not in page
    assert not [word for word in ('src="http', "href=", "url(", "@import") if word in page]
    for said in (row["decision"], f"{NAME}@2", "Round 1"):
        assert said in page
    text = CliRunner().invoke(app, ["loop", *words, "--show"])
    assert "kept" in text.stdout
    assert "begin round 2" in " ".join(text.stdout.split())

    changed = folder / "kept/labels" / f"{Path(names[0]).stem}.txt"
    changed.write_text(BOX + BOX)
    code, failed, _ = run("loop", *words)
    assert code == 2
    assert "The labels of round 1" in failed["error"]
    changed.write_text(BOX)
    code, again, stderr = run("loop", *words, "--despite", "drift")
    assert code == 0, stderr
    second = again["rounds"][1]["lineage"]["asked"]
    assert second["left"] <= 6
    assert not {one["image_id"] for one in second["images"]} & set(lineage["labels"]["images"])


def test_faults_are_told_before_anything_is_made(tmp_path: Path) -> None:
    for words, reason in (
        ([], "active_learning.images is not set"),
        ([f"active_learning.images={tmp_path / 'none'}"], "does not exist"),
        (["active_learning.to=labelmee"], "active_learning.to"),
        (["active_learning.out=s3://bucket/out"], "active_learning.out"),
        (["--despite", "drifft"], 'did you mean "drift"?'),
    ):
        code, failed, _ = run("loop", f"workspace={tmp_path / 'w'}", *words)
        assert code == 2
        assert reason in failed["error"]
    assert not (tmp_path / "w").exists()
