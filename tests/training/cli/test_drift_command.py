"""`agssp drift`: no alarm on more of the same, an alarm that names what moved, and what can't be judged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageFilter
from torch import nn
from typer.testing import CliRunner

from agssp import app
from cluster.storage.storage import Storage
from pipelines.surfaces.generator import write_corpus
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.starts.detector_file import save_detector

RAIL: Any = {"defect_share": 0.3, "categories": ["rail"]}
FEW = ["drift.least=12", "drift.splits=60", "drift.false_alarms=0.05"]


def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON on stdout, stderr."""
    result = CliRunner().invoke(app, ["drift", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1]), result.stderr


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Rails: 40 of the corpus, 14 more of the same, and those darker, and out of focus."""
    folder = tmp_path_factory.mktemp("rails")
    write_corpus(folder / "made", seed=3, images_per_category=54, size=64, **RAIL)
    pictures = sorted(path for path in (folder / "made").rglob("*.png") if "mask" not in path.name)
    changes: dict[str, Callable[[Image.Image], Image.Image]] = {
        "same": lambda image: image,
        "dark": lambda image: image.point(lambda value: int(value * 0.5)),
        "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
    }
    for name in ("photos/rail", *changes):
        (folder / name).mkdir(parents=True)
    for number, path in enumerate(pictures):
        image = Image.open(path)
        # Every fourth is new: both sides have the same share of defects.
        if number % 4:
            image.save(folder / "photos/rail" / f"{number}.png")
            continue
        for name, change in changes.items():
            change(image).save(folder / name / f"{number}.png")
    return {name: folder / name for name in ("made", "photos", *changes)}


@pytest.fixture(scope="module")
def words(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, tracked: Callable[[Path], Path]
) -> list[str]:
    workspace = tracked(tmp_path_factory.mktemp("workspace") / "w")
    return [f"corpus.root={folders['photos']}", f"workspace={workspace}", "maps.kead.shots=0", *FEW]


def test_more_of_the_same_is_no_drift(folders: dict[str, Path], words: list[str]) -> None:
    code, made, stderr = run(str(folders["same"]), *words)
    assert code == 0, (stderr, made)
    told = made["results"]
    assert (told["drift"], told["moved"]) == (False, [])
    assert told["verdicts"][0]["sentence"].startswith("No drift found, by 14 new images against ")
    alarms = told["false_alarms"]
    assert alarms["interval"][0] <= alarms["share"] <= alarms["interval"][1]
    assert {row["measure"] for row in made["measures"]} == {
        *("brightness", "contrast", "sharpness", "score", "embedding")
    }


@pytest.mark.parametrize(
    ("name", "measure", "word"), [("dark", "brightness", "darker"), ("blurred", "sharpness", "more blurred")]
)
def test_an_alarm_names_what_moved_and_shows_it(
    folders: dict[str, Path], words: list[str], name: str, measure: str, word: str
) -> None:
    code, made, stderr = run(str(folders[name]), *words)
    assert code == 2, stderr
    assert measure in made["results"]["moved"]
    assert f"The new images are {word}" in made["results"]["verdicts"][0]["sentence"]
    folder = Path(made["directory"])
    page = (folder / "drift.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "http" not in page.replace("http-equiv", "")
    sides = pq.read_table(folder / "images.parquet").column("side").to_pylist()
    assert sides.count("new") == 14


def test_too_few_images_get_no_verdict(folders: dict[str, Path], words: list[str], tmp_path: Path) -> None:
    picture = next(folders["same"].iterdir())
    for number in range(20):  # the same picture twenty times is one image
        Image.open(picture).save(tmp_path / f"{number}.png", compress_level=number % 9)
    code, made, _ = run(str(tmp_path), *words)
    assert code == 2
    assert made["error"].startswith("No verdict: of ")
    assert "drift.least=12" in made["error"]


def test_the_corpus_own_images_are_no_new_ones(folders: dict[str, Path], words: list[str]) -> None:
    code, made, _ = run(str(folders["photos"]), *words)
    assert code == 2
    assert "are the corpus' own" in made["error"]


def test_what_is_no_image_is_listed_and_a_wrong_category_refused(
    folders: dict[str, Path], words: list[str], tmp_path: Path
) -> None:
    shutil.copytree(folders["same"], tmp_path / "new")
    (tmp_path / "new/broken.png").write_bytes(b"no image")
    code, made, _ = run(str(tmp_path / "new"), *words, "maps.max_bad_share=0.2")
    assert (code, made["results"]["unreadable"]) == (0, 1)
    code, made, _ = run(str(folders["same"]), *words, "--category", "raill")
    assert code == 2
    assert '"raill"' in made["error"]
    assert "rail" in made["error"]
    code, made, _ = run(str(tmp_path / "nothing"), *words)
    assert code == 2
    assert "does not exist" in made["error"]


def test_a_detector_needs_images_that_it_has_not_learnt_from(
    folders: dict[str, Path], words: list[str], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(64, "letterbox")).eval()
    state = detector.state_dict()
    for key in state:
        if detector.part_of(key) == "classes" and key.endswith("bias"):
            nn.init.zeros_(state[key])  # untrained, but with boxes to see
    save_detector(detector, Storage.open(str(tmp_path)), "d.safetensors", {})
    model = ["--model", str(tmp_path / "d.safetensors")]
    code, made, _ = run(str(folders["same"]), *words, *model)
    assert code == 2
    assert "has learnt from" in made["error"]  # a corpus without labels holds out nothing
    code, made, stderr = run(
        str(folders["blurred"]), *words, *model, f"corpus.root={folders['made']}", "drift.least=8"
    )
    assert code == 2, stderr
    assert "measures" in made, made
    assert {"boxes", "confidence"} <= {row["measure"] for row in made["measures"]}
    held_out = made["results"]["corpus"] + made["results"]["new"]
    assert held_out < 40  # about half of 54
