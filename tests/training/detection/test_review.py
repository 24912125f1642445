"""AGDP honours the review: what is rejected is not trained on, and the artifact is another one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Never

import pyarrow as pa
import pytest

from cluster.errors import UserError
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import PipelineRun, Tracker
from pipelines.review.decisions import Change, save_changes
from pipelines.tables.schemas import BOXES, MANIFEST
from training.detection.agdp_stage import prepared, pretrain_detector
from training.detection.data import Sample
from training.detection.defect_boxes import DefectBoxes
from training.detection.section import DetectorSection
from training.loop.section import ScalingSection
from training.loop.site import TrainingSite
from training.models.backbones.base import build
from training.weights.files import save_weights

IMAGES = 12
FIRST, SECOND = (4.0, 4.0, 30.0, 30.0), (40.0, 40.0, 60.0, 60.0)
HELD_OUT = 11


SECTION = DetectorSection(name="yolov8n", image_size=64)


class ReachedError(Exception):
    """The stage's body would begin now."""


class StoppingPipeline(PipelineRun):
    """Lets no stage begin."""

    def stage(self, name: str, *, config: Mapping[str, Any], tags: Mapping[str, str]) -> Never:
        raise ReachedError


def image_id(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    folder = tmp_path_factory.mktemp("backbone")
    model = build("yolov8n")
    save_weights(folder / "backbone.safetensors", model.library_state_dict(), {"architecture": "yolov8n"})
    return Storage.open(str(folder))


class Stage:
    """The detector stage over twelve images of two boxes each, stopped where its body would begin."""

    def __init__(self, folder: Path, backbone: Storage) -> None:
        self.workspace = Storage.open(str(folder / "workspace"))
        data = Storage.open(str(folder / "data"))
        identity = [
            {"image_id": image_id(n), "uri": f"/{n}.png", "category": "tile", "width": 64, "height": 64}
            for n in range(IMAGES)
        ]
        sides = ("x0", "y0", "x1", "y1")
        boxes = [dict(zip(sides, box, strict=True)) | {"score": 1.0} for box in (FIRST, SECOND)]
        rows = [row | {"boxes": boxes} for row in identity]
        data.write_table("boxes.parquet", pa.Table.from_pylist(rows, schema=BOXES))
        manifest = [
            row | {"split": "test" if n == HELD_OUT else "train", "role": "train"}
            for n, row in enumerate(identity)
        ]
        data.write_table("manifest/part-0.parquet", pa.Table.from_pylist(manifest, schema=MANIFEST))
        self.inputs = {
            name: Artifact(name, name * 8, where, {"results": {"start": "scratch"}}, reused=True)
            for name, where in (("corpus", data), ("boxes", data), ("backbone", backbone))
        }
        self.seen: list[Sample] = []

    def review(self, *changes: dict[str, Any]) -> None:
        save_changes(self.workspace, [Change.model_validate(change) for change in changes])

    def run(self) -> Storage:
        """The directory that the artifact would have, with what the body leaves there before training."""
        folder = self.workspace.at("detector")
        before = set(folder.children())
        run = StoppingPipeline(Tracker.open(TrackingSection(), self.workspace), "test", {})
        site = TrainingSite(self.workspace, run, ScalingSection())
        with pytest.raises(ReachedError):
            pretrain_detector(SECTION, site=site, number=1, **self.inputs)
        new = set(folder.children()) - before
        directory = folder.at(*new) if new else folder
        inputs = DefectBoxes.reviewed(self.workspace, **self.inputs)
        training, _, _ = prepared(SECTION, inputs, directory)
        self.seen = [*training.train, *training.held_out]
        return directory

    def learnt(self) -> dict[str, list[list[float]]]:
        """Boxes by image that training would get."""
        return {sample.image_id: sample.boxes.tolist() for sample in self.seen}


@pytest.fixture
def stage(tmp_path: Path, backbone: Storage) -> Stage:
    return Stage(tmp_path, backbone)


EVERYTHING = {image_id(n): [list(FIRST), list(SECOND)] for n in range(IMAGES) if n != HELD_OUT}


def test_without_a_review_nothing_is_left_out(stage: Stage) -> None:
    directory = stage.run()
    assert stage.learnt() == EVERYTHING
    assert not directory.exists("review.json")


def test_rejected_boxes_and_images_are_left_out(stage: Stage) -> None:
    whole = stage.run()
    stage.review(
        {"image_id": image_id(1), "kind": "image", "verdict": "rejected"},
        {"image_id": image_id(2), "kind": "box", "box": FIRST, "verdict": "rejected"},
        {"image_id": image_id(3), "kind": "box", "box": FIRST, "verdict": "accepted"},
        {"image_id": image_id(4), "kind": "image", "verdict": "accepted"},
    )
    directory = stage.run()
    assert directory.path != whole.path
    expected = {**EVERYTHING, image_id(2): [list(SECOND)]}
    del expected[image_id(1)]
    assert stage.learnt() == expected
    assert directory.read_json("review.json") == {
        "images": [image_id(1)],
        "boxes": {image_id(2): [list(FIRST)]},
    }


def test_decisions_without_effect_change_no_fingerprint(stage: Stage) -> None:
    stage.run()
    stage.review(
        {"image_id": image_id(4), "kind": "image", "verdict": "accepted"},
        {"image_id": "f" * 32, "kind": "image", "verdict": "rejected"},
        {"image_id": image_id(5), "kind": "reference", "verdict": "rejected"},
        {"image_id": image_id(6), "kind": "box", "box": (0, 0, 64, 64), "verdict": "rejected"},
    )
    folder = stage.run()
    assert len(stage.workspace.at("detector").children()) == 1
    assert folder.path == stage.workspace.at("detector").path
    assert stage.learnt() == EVERYTHING


def test_a_review_of_everything_is_an_error_that_names_it(stage: Stage) -> None:
    stage.review(*({"image_id": key, "kind": "image", "verdict": "rejected"} for key in EVERYTHING))
    with pytest.raises(UserError, match=r"The review leaves no pseudo-box .* agssp view"):
        stage.run()


def test_a_damaged_review_stops_before_anything_is_written(stage: Stage) -> None:
    stage.workspace.at("review").write("decisions.json", b"{")
    with pytest.raises(UserError, match="is damaged"):
        stage.run()
    assert not stage.workspace.at("detector").exists()
