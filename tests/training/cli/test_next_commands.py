"""`agssp next`: the list, the labelling tool's files, the page's order, a detector, and what can't be."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from agssp import app
from cluster.storage.storage import Storage
from pipelines.choice.stored import newest_choice
from pipelines.surfaces.generator import write_corpus
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.starts.detector_file import save_detector

RAIL: Any = {"defect_share": 0.5, "categories": ["rail"]}


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, tracked: Callable[[Path], Path]) -> list[str]:
    """A project of 14 unlabelled rails, two of them one picture, and two normal references."""
    folder = tmp_path_factory.mktemp("rails")
    write_corpus(folder / "made", seed=3, images_per_category=16, size=64, **RAIL)
    pictures = sorted(path for path in (folder / "made").rglob("*.png") if "mask" not in path.name)
    for number, path in enumerate(pictures[:15]):
        name = f"references/{number}.png" if number < 2 else f"{number}.png"
        target = folder / "photos/rail" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(target)
    Image.open(pictures[14]).save(folder / "photos/rail/14.bmp")  # the same pixels, other bytes
    return [
        f"corpus.root={folder / 'photos'}",
        f"workspace={tracked(folder / 'w')}",
        "maps.kead.shots=2",
    ]


def test_the_list_the_files_and_the_page(words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, made, stderr = run("next", *words, "next.count=4", "--to", "coco", "--out", str(out))
    assert code == 0, stderr
    results = made["results"]
    assert (results["chosen"], results["left_to_label"], results["groups"]) == (4, 14, 13)
    assert results["left_out"] == {"normal references": 2}
    folder = Path(made["directory"])
    rows = pq.read_table(folder / "next.parquet").to_pylist()
    assert [row["place"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["score"] == pytest.approx(row["anomaly"] * row["diversity"], rel=1e-5)
        assert row["disagreement"] is None
        assert "map score" in row["reason"]
    listed = list(csv.DictReader((folder / "next.csv").read_text().splitlines()))
    assert [line["uri"] for line in listed] == [row["uri"] for row in rows]
    written = json.loads((out / "coco.json").read_text())
    assert [image["file_name"].rpartition("/")[2] for image in written["images"]] == [
        Path(row["uri"]).name for row in rows
    ]
    assert len(written["annotations"]) == sum(row["boxes"] for row in rows)
    maps = json.loads((folder / "stage.json").read_text())["inputs"]["maps"]
    workspace = Storage.open(str(folder.parent.parent))
    shown = newest_choice(workspace, maps)
    assert {image: place.place for image, place in shown.items()} == {
        row["image_id"]: row["place"] for row in rows
    }
    assert newest_choice(workspace, "of other maps") == {}
    code, again, _ = run("next", *words, "next.count=4")
    assert code == 0
    assert again["reused"]


def test_more_than_there_are(words: list[str]) -> None:
    result = CliRunner().invoke(app, ["next", *words, "next.count=500"])
    assert result.exit_code == 0, result.stderr
    assert "13 of 14 images that are left to label" in " ".join(result.stdout.split())
    assert "500 were asked for" in result.stdout
    assert "No detector was asked (--model)" in result.stdout


def test_a_detector_that_disagrees(words: list[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(64, "letterbox")).eval()
    state = detector.state_dict()
    for key in state:
        if detector.part_of(key) == "classes" and key.endswith("bias"):
            nn.init.zeros_(state[key])  # untrained, but with boxes to see
    save_detector(detector, Storage.open(str(tmp_path)), "d.safetensors", {})
    model = ["--model", str(tmp_path / "d.safetensors")]
    code, made, stderr = run("next", *words, *model, "--to", "yolo", "--out", str(tmp_path / "out"))
    assert code == 0, stderr
    assert (made["results"]["detector"], made["results"]["classes"]) == (True, ["crack", "hole"])
    for row in made["images"]:
        assert 0.5 <= row["disagreement"] <= 1
        assert "map and detector disagree on" in row["reason"]
    assert (tmp_path / "out/classes.txt").read_text().split() == ["crack", "hole"]
    code, failed, _ = run("next", *words, "--model", str(tmp_path / "none.safetensors"))
    assert code == 2
    assert "none.safetensors" in failed["error"]


def test_nothing_is_left(tmp_path: Path, tracked: Callable[[Path], Path]) -> None:
    write_corpus(tmp_path / "made", seed=3, images_per_category=8, size=64, **RAIL)
    words = [f"corpus.root={tmp_path / 'made'}", f"workspace={tracked(tmp_path / 'w')}", "maps.kead.shots=1"]
    code, failed, _ = run("next", *words)
    assert code == 2
    assert "No image of the corpus is left to label (" in failed["error"]
    assert "labelled" in failed["error"]
    made = {path.name for path in (tmp_path / "w").iterdir()}
    assert "corpus" in made
    assert made.isdisjoint({"maps", "embeddings"}), "told before anything long is made"


def test_faults_are_told_before_anything_is_made(tmp_path: Path) -> None:
    for words, reason in (
        (["next.count=0"], "next.count"),
        (["--to", "coco"], "Name a folder for the coco files"),
        ([f"corpus.root={tmp_path / 'none'}"], "does not exist"),
    ):
        code, failed, _ = run("next", f"workspace={tmp_path / 'w'}", *words)
        assert code == 2
        assert reason in failed["error"]
    assert not (tmp_path / "w").exists()
