"""The backbone stage from corpus and maps to weights that a detector takes."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from ultralytics.nn.tasks import DetectionModel

from cluster.errors import UserError
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import PipelineRun, Tracker
from tests.silent_tracking import SilentPipeline
from tests.training.agbp.test_task import write_corpus
from training.agbp.attention_pictures import GAP, HEADER, SIDE
from training.agbp.section import BackboneSection
from training.agbp.stage import pretrain_backbone
from training.loop.section import ScalingSection
from training.loop.site import TrainingSite
from training.weights.files import load_weights


def artifact(stage: str, storage: Storage) -> Artifact:
    return Artifact(stage, stage * 8, storage, {"results": {}}, reused=True)


def make(
    workspace: Storage, categories: tuple[str, ...], pipeline: PipelineRun, **changes: object
) -> Artifact:
    """The stage over a small corpus within `workspace`."""
    storage = workspace.at("data")
    if not storage.exists("manifest"):
        write_corpus(Path(storage.path), 20, categories)
    loop = {"epochs": 2, "batch_size": 8}
    section = BackboneSection.model_validate({"image_size": 64, "loop": loop} | changes)
    return pretrain_backbone(
        section,
        site=TrainingSite(workspace, pipeline, ScalingSection(cpus_per_worker=1, gpu=False)),
        corpus=artifact("corpus", storage),
        maps=artifact("maps", storage),
    )


@pytest.mark.ray
def test_backbone_of_one_category(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Storage.open(str(tracked(tmp_path)))
    tracker = Tracker.open(TrackingSection(), workspace)
    loop = {"epochs": 2, "batch_size": 8, "eval_every": 1, "best_metric": "correlation", "keep_best": 2}
    with tracker.pipeline("test", {}) as pipeline:
        made = make(workspace, ("tile",), pipeline, loop=loop)
    assert "nothing to classify, so the anomaly maps alone teach; λ = 1" in capsys.readouterr().err
    results = made.results
    assert (results["images"], results["held_out_images"], results["categories"]) == (15, 1, 1)
    assert (results["epochs"], results["lam"], results["loss_task"]) == (2, 1.0, 0.0)
    assert results["attention_before"].keys() == results["attention_after"].keys()
    assert {"correlation_32", "auroc_32"} <= results["attention_after"].keys()
    with made.directory.local_copy("backbone.safetensors") as path:
        state, metadata = load_weights(path)
    assert metadata["architecture"] == "yolov8n"
    assert metadata["lineage"]["maps"] == "maps" * 8
    detector = DetectionModel("yolov8n.yaml", ch=3, nc=1, verbose=False)
    assert not detector.load_state_dict(state, strict=False).unexpected_keys
    assert made.directory.read_table("history.parquet").column("epoch").to_pylist() == [0, 1, 2]
    with made.directory.local_copy("attention.png") as path:
        sheet = cv2.imread(str(path))
    # One held-out image: picture, defect, anomaly map, and two stages before and after.
    assert sheet is not None
    assert sheet.shape == (HEADER + SIDE + GAP, GAP + 7 * (SIDE + GAP), 3)
    kept = made.directory.at("kept").children()
    assert sorted(kept) == ["epoch-1.safetensors", "epoch-2.safetensors", "last.safetensors"]
    assert not made.directory.exists("training")
    with tracker.pipeline("test", {}) as pipeline:
        assert make(workspace, ("tile",), pipeline, loop=loop).reused


def test_impossible_sections_are_refused_before_ray(tmp_path: Path) -> None:
    workspace = Storage.open(str(tmp_path))
    silent = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    with pytest.raises(UserError, match="There is nothing to learn: all images are of one category"):
        make(workspace, ("tile",), silent, lam=0.0)
    with pytest.raises(UserError, match=r"lost\.safetensors does not exist"):
        make(workspace, ("tile",), silent, start="lost.safetensors")
