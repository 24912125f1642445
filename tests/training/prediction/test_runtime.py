"""onnxruntime in the place of PyTorch: the same boxes, or PyTorch with a reason."""

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

import training.runtimes
from cluster.config import validate
from cluster.errors import UserError
from cluster.on_ray import RaySection, ray_session
from cluster.stages import Site
from cluster.storage import Storage
from cluster.tracking import Tracker, TrackingSection
from pipelines.corpus import find_images
from pipelines.surfaces import generate
from tests.repository import ROOT
from tests.silent_tracking import SilentPipeline
from training.detection.proposals_stage import ProposeActor
from training.models import Part, Preprocessing, Stages, Targets
from training.models.detectors import Detector
from training.prediction.runtime import LEAST_PIXELS, ONNX_FILE, on_onnx, take_runtime
from training.prediction.section import PredictSection
from training.prediction.stage import predict_images
from training.starts import load_detector, open_model

SIDE = 64
LARGE = -(-LEAST_PIXELS // SIDE**2)  # images
AUTO, ONNX = PredictSection(), PredictSection(runtime="onnx")
SURFACE = ROOT / "training/starts/surface/detector.safetensors"


class Tiny(Detector):
    """A convolution whose answers are boxes; a subclass may answer otherwise in its file."""

    architecture, classes, nms_iou = "tiny", ("crack", "hole"), 0.7
    preprocessing = Preprocessing(SIDE, "square")

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 6, 8, stride=8)
        self.wide = nn.Conv2d(3, 96, 9, padding=4)

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = self.layer(images).flatten(2).transpose(1, 2)
        return found[..., None, :4], found[..., 4:].sigmoid()

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        raise NotImplementedError

    def part_of(self, key: str) -> Part:
        raise NotImplementedError

    def stages(self, count: int) -> Stages:
        raise NotImplementedError


class OtherInItsFile(Tiny):
    """Its file adds 2e-4 to the scores."""

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = super().candidates(images)
        return boxes, scores + 2e-4 if torch.compiler.is_exporting() else scores


class SlowInItsFile(Tiny):
    """Its file has wide convolutions that count for nothing."""

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = super().candidates(images)
        if torch.compiler.is_exporting():
            scores = scores + 1e-12 * sum(self.wide(images + n).mean() for n in range(9))
        return boxes, scores


class InNoFile(Tiny):
    """Its answer depends on a number that an exporter does not know."""

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = super().candidates(images)
        return (boxes, scores) if images.sum() > 0 else (boxes + 1, scores)


@pytest.fixture
def work(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "work"))


def took(detector: Detector, section: PredictSection, work: Storage, inputs: int = LARGE) -> bool:
    return take_runtime(section, detector, work, inputs=inputs, gpus=0)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_the_runtime_is_no_part_of_the_fingerprint() -> None:
    assert ONNX.deciding == AUTO.deciding == {"min_score": 0.25, "draw": True, "drawn_side": 960}


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(UserError, match="'auto', 'torch' or 'onnx'"):
        validate(PredictSection, {"runtime": "tensorrt"}, "predict")


@pytest.mark.parametrize(
    ("section", "inputs"),
    [
        (AUTO, LARGE - 1),
        (AUTO.model_copy(update={"flips": ("lr", "ud")}), LARGE // 4 - 1),
        (PredictSection(runtime="torch"), 1000 * LARGE),
    ],
    ids=["small", "small with its views", "torch"],
)
def test_small_jobs_are_left_on_pytorch_without_a_word(
    section: PredictSection, inputs: int, work: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not took(InNoFile(), section, work, inputs)
    assert not work.exists()
    assert said(capsys) == ""


def test_on_a_gpu_pytorch_runs_it(work: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"predict\.runtime=onnx is for CPUs"):
        take_runtime(ONNX, Tiny(), work, inputs=LARGE, gpus=0.5)
    assert not take_runtime(AUTO, Tiny(), work, inputs=LARGE, gpus=1)
    assert said(capsys) == ""


def test_a_missing_package_is_named(work: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for module in ("onnx_export", "file_detector"):
        monkeypatch.delitem(sys.modules, f"training.runtimes.{module}", raising=False)
    # The face keeps what it gave once.
    monkeypatch.delitem(vars(training.runtimes), "export_onnx", raising=False)
    with pytest.raises(UserError, match=r"onnxruntime is not installed; take predict\.runtime=torch"):
        took(Tiny(), ONNX, work)


@pytest.mark.slow
def test_a_file_is_written_once_a_job_and_answers_alike(
    work: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = Tiny().eval()
    assert took(detector, ONNX, work, 1)
    written = work.read(ONNX_FILE)
    assert took(InNoFile(), AUTO, work, 1)  # a job goes on as it began: nothing is written or timed
    assert work.read(ONNX_FILE) == written
    assert said(capsys) == ""
    images = torch.rand(5, 3, SIDE, SIDE)
    with torch.no_grad():
        wanted = detector.candidates(images)
    for one, other in zip(on_onnx(detector, work).candidates(images), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("detector", "words"),
    [
        (OtherInItsFile, "its boxes differ from PyTorch's by"),
        (InNoFile, "the tiny can't be written for it (Failed to export the model"),
    ],
)
def test_what_can_not_be_had_stays_on_pytorch_with_a_reason(
    detector: type[Tiny], words: str, work: Storage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not took(detector(), AUTO, work)
    line = said(capsys)
    assert "predict: the detector runs on PyTorch, not on onnxruntime: " in line
    assert words in line
    assert not took(detector(), AUTO, work)  # the job that goes on does not try again
    assert said(capsys) == ""
    with pytest.raises(UserError, match=r"take predict\.runtime=torch") as told:
        took(detector(), ONNX, work)
    assert words in str(told.value)
    assert not work.exists(ONNX_FILE)


@pytest.mark.slow
def test_the_slower_runtime_is_taken_only_by_name(work: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    assert not took(SlowInItsFile(), AUTO, work)
    assert "times PyTorch's time on a batch" in said(capsys)
    assert took(SlowInItsFile(), ONNX, work)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four surfaces with defects, of different sizes, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(4):
        image = generate(5, index, size=150 + 40 * index, category="steel_sheet").image
        cv2.imwrite(str(folder / f"{index}.png"), image)
    (folder / "bad.png").write_bytes(b"nothing")
    return folder


def rows_of(workspace: Path, photos: Path, **settings: Any) -> list[dict[str, Any]]:
    """Rows of the shipped detector's predictions, by the stage."""
    storage = Storage.open(str(workspace / settings["runtime"]))
    site = Site(storage, SilentPipeline(Tracker.open(TrackingSection(), storage), "test", {}))
    section = PredictSection.model_validate({"min_score": 0.02, "draw": False, **settings})
    with open_model(str(SURFACE), pytest.fail) as model:
        made = predict_images(section, files=find_images(str(photos)), model=model, site=site)
    assert made.results["quarantined"] == 1
    assert not made.directory.exists("work")
    rows: list[dict[str, Any]] = made.directory.read_table("predictions.parquet").to_pylist()
    return rows


def assert_alike(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    assert sum(len(row["boxes"]) for row in rows) > 2
    for one, other in zip(rows, others, strict=True):
        assert [box["label"] for box in one["boxes"]] == [box["label"] for box in other["boxes"]]
        assert {**one, "boxes": 0} == {**other, "boxes": 0}
        for box, like in zip(one["boxes"], other["boxes"], strict=True):
            assert box["score"] == pytest.approx(like["score"], abs=1e-4)
            assert [box[s] for s in ("x0", "y0", "x1", "y1")] == pytest.approx(
                [like[s] for s in ("x0", "y0", "x1", "y1")], abs=0.02
            )
    scores = [[box["score"] for row in table for box in row["boxes"]] for table in (rows, others)]
    assert scores[0] != scores[1]  # another runtime did find them


@pytest.mark.slow
@pytest.mark.parametrize("looks", [{}, {"tiles": "auto", "flips": ["lr"]}], ids=["whole", "tiles and flips"])
def test_the_stage_finds_what_it_finds_by_pytorch(
    looks: dict[str, Any], photos: Path, tmp_path: Path
) -> None:
    with ray_session(RaySection()):
        onnx, own = (rows_of(tmp_path, photos, runtime=name, **looks) for name in ("onnx", "torch"))
    assert_alike(onnx, own)


@pytest.mark.ray
def test_workers_find_what_pytorch_finds(ray_cluster: None, photos: Path, tmp_path: Path) -> None:
    onnx, own = (rows_of(tmp_path, photos, runtime=name) for name in ("onnx", "torch"))
    assert_alike(onnx, own)


@pytest.mark.slow
def test_proposals_are_those_of_pytorch(photos: Path, work: Storage) -> None:
    detector = load_detector(SURFACE)
    weights = Storage.open(str(SURFACE.parent))
    assert took(detector, ONNX, work, 1)
    files = find_images(str(photos)).filter(np.array([True, True, True, True, False]))
    count = files.num_rows
    columns = {"image_id": list("abcd"), "category": ["steel"] * count, "width": [1] * count}
    table = pa.table({**columns, "height": [1] * count, "uri": files.column("uri"), "levels": [None] * count})
    section = PredictSection(flips=("lr",))
    found = [ProposeActor(weights, False, section, file)(table).to_pylist() for file in (work, None)]
    assert_alike(*found)
