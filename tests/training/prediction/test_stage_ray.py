"""Prediction over files: rows by themselves, and the whole stage on Ray."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from faster_coco_eval import COCO
from hypothesis import given, strategies as st
from torch import nn

from cluster.errors import UserError
from cluster.on_ray.section import RaySection
from cluster.on_ray.session import ray_session
from cluster.stages.site import Site
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.corpus.image_paths import find_images
from pipelines.images.reading import content_hash
from tests.silent_tracking import SilentPipeline
from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.prediction import stage
from training.prediction.predict import ImagePrediction, predict
from training.prediction.rows import alike, draw_rows, predict_rows, read_rows
from training.prediction.section import PredictSection
from training.prediction.stage import predict_images
from training.starts.detector_file import load_detector, save_detector
from training.starts.model_source import open_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Untrained; its class layers say one half, so that there are boxes to see."""
    torch.manual_seed(0)
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(64, "letterbox")).eval()
    state = detector.state_dict()
    for key in state:
        if detector.part_of(key) == "classes" and key.endswith("bias"):
            nn.init.zeros_(state[key])
    return detector


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five images in two folders, and one that is none."""
    rng = np.random.default_rng(0)
    for number in range(5):
        path = tmp_path / "photos" / ("a" if number % 2 else "b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 255, (40 + 9 * number, 60, 3), dtype=np.uint8))
    (tmp_path / "photos" / "bad.png").write_bytes(b"nothing")
    return tmp_path / "photos"


def test_rows_find_what_plain_prediction_finds(detector: Detector, photos: Path) -> None:
    files = find_images(str(photos))
    rows = predict_rows(read_rows(files, detector.preprocessing), detector, CPU, 0.4).to_pylist()
    images = {row["uri"]: row["uri"] for row in rows if not row["error"]}
    plain = {
        one.uri: one.row(detector.classes)["boxes"]
        for one in predict(detector, images, device=CPU, min_score=0.4)
        if isinstance(one, ImagePrediction)
    }
    assert len(plain) == 5
    for row in rows:
        if row["error"]:
            assert "not an image" in row["error"]
            assert (row["name"], row["boxes"]) == ("bad.png", [])
            continue
        assert row["boxes"] == plain[row["uri"]]
        assert row["image_id"] == content_hash(Path(row["uri"]).read_bytes())


def test_a_batch_of_unreadable_images_alone_is_no_error(detector: Detector, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    rows = read_rows(find_images(str(tmp_path)), detector.preprocessing)
    assert predict_rows(rows, detector, CPU, 0.4).num_rows == 1
    assert read_rows(rows.slice(0, 0), detector.preprocessing).num_rows == 0


NAME = st.from_regex(r"(a/)?[aAb](\.(png|jpg|JPG|x))?\.(png|jpg|bmp)", fullmatch=True)


@given(st.lists(NAME, unique_by=str.casefold))
def test_every_image_has_a_drawn_file_of_its_own_with_one_suffix_where_that_can_be(names: list[str]) -> None:
    kept = alike(names)
    drawn = [f"{name}.jpg" if name in kept else str(Path(name).with_suffix(".jpg")) for name in names]
    assert len({name.casefold() for name in drawn}) == len(names)
    short = [str(Path(name).with_suffix("")).casefold() for name in names]
    whole = [name.casefold() for name in names]
    for name, one in zip(names, short, strict=True):
        assert (name in kept) == (short.count(one) > 1 or one in whole)


class Tally:
    """What a worker's end of the counter was told."""

    def __init__(self) -> None:
        self.done = 0

    def add(self, amount: int) -> None:
        self.done += amount


def test_images_count_as_done_when_their_pictures_are_written(
    detector: Detector, photos: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(photos / "a" / "1.bmp"), np.zeros((30, 30, 3), np.uint8))
    target = Storage.open(str(tmp_path / "drawn"))
    files = find_images(str(photos))
    rows = predict_rows(read_rows(files, detector.preprocessing), detector, CPU, 0.4)
    tally = Tally()
    kept = alike(files.column("name").to_pylist())
    draw_rows(rows, target, 64, kept=kept, counter=tally)
    assert tally.done == 7  # the unreadable one is done with, too
    written = {str(path.relative_to(target.path)) for path in Path(target.path).rglob("*.jpg")}
    assert written == {"a/1.bmp.jpg", "a/1.png.jpg", "a/3.jpg", "b/0.jpg", "b/2.jpg", "b/4.jpg"}


def test_in_one_process_the_detector_is_loaded_once(
    detector: Detector, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []

    def counted(path: Path) -> Detector:
        loads.append(path)
        return load_detector(path)

    monkeypatch.setattr(stage, "load_detector", counted)
    workspace = Storage.open(str(tmp_path / "workspace"))
    save_detector(detector, Storage.open(str(tmp_path)), "d.safetensors", {})
    site = Site(workspace, SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {}))
    files = find_images(str(photos))
    with open_model(str(tmp_path / "d.safetensors"), pytest.fail) as model, ray_session(RaySection()):
        made = predict_images(PredictSection(min_score=0.4), files=files, model=model, site=site)
    wanted = predict_rows(read_rows(files, detector.preprocessing), detector, CPU, 0.4).to_pylist()
    rows = made.directory.read_table("predictions.parquet").to_pylist()
    found = {row["uri"]: len(row["boxes"]) for row in rows}
    assert found == {row["uri"]: len(row["boxes"]) for row in wanted if not row["error"]}
    assert len(loads) == 1


@pytest.mark.ray
def test_a_folder_becomes_tables_json_and_pictures(
    ray_cluster: None, detector: Detector, photos: Path, tmp_path: Path
) -> None:
    workspace = Storage.open(str(tmp_path / "workspace"))
    save_detector(detector, Storage.open(str(tmp_path)), "d.safetensors", {})
    files = find_images(str(photos))
    pipeline = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    site = Site(workspace, pipeline)
    section = PredictSection(min_score=0.4, drawn_side=128)
    with open_model(str(tmp_path / "d.safetensors"), pytest.fail) as model:
        made = predict_images(section, files=files, model=model, site=site)
        again = predict_images(section, files=files, model=model, site=site)
        strict = PredictSection(min_score=0.41, max_bad_share=0.1)
        with pytest.raises(UserError, match="1 of 6 images can't be used"):
            predict_images(strict, files=files, model=model, site=site)
        crowd = PredictSection(min_score=0.42, actors=1000)
        with pytest.raises(UserError, match=r"predict\.actors=1000 need 501\.5 CPUs"):  # at once
            predict_images(crowd, files=files, model=model, site=site)
    assert again.reused
    assert (made.results["images"], made.results["quarantined"]) == (5, 1)
    (bad,) = made.directory.read_table("quarantine.parquet").to_pylist()
    assert bad["uri"].endswith("bad.png")
    rows = made.directory.read_table("predictions.parquet").to_pylist()
    wanted = predict_rows(read_rows(files, detector.preprocessing), detector, CPU, 0.4).to_pylist()
    boxes = {row["uri"]: row["boxes"] for row in wanted if not row["error"]}
    assert {row["uri"]: len(row["boxes"]) for row in rows} == {uri: len(b) for uri, b in boxes.items()}
    assert sum(map(len, boxes.values())) == made.results["boxes"] > 0
    results = json.loads(made.directory.read("results.json"))
    loaded = COCO(made.directory.read_json("coco.json")).loadRes(results)  # COCO's own reader takes them
    assert len(loaded.anns) == made.results["boxes"]
    for row in rows:
        name = Path(row["uri"]).relative_to(photos).with_suffix(".jpg")
        picture = cv2.imread(str(Path(made.directory.path) / "drawn" / name))
        assert picture is not None
        assert max(picture.shape) == 128
