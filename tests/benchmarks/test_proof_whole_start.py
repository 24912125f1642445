"""A backbone pretrained from a whole detector's weights goes back into that detector."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from benchmarks.real_surfaces.rows import WholeStart, epochs_seconds
from cluster.config import validate
from cluster.stages import Artifact
from cluster.storage import Storage
from cluster.tracking import Tracker, TrackingSection
from tests.silent_tracking import SilentPipeline
from training.backbone_file import BACKBONE_FILE, save_backbone
from training.backbone_stage import HISTORY_FILE
from training.backbones import build
from training.detectors import build_detector
from training.letterbox import Preprocessing
from training.pipeline import Pipeline
from training.project import Project
from training.start import filled_detector
from training.weights import load_weights, save_weights

SQUARE = Preprocessing(64, "square")


def test_neck_and_head_stay_the_start_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    start = build_detector("yolov8n", ("person", "car"), SQUARE).state_dict()
    save_weights(tmp_path / "coco.safetensors", start, {})
    torch.manual_seed(1)
    backbone = build("yolov8n")
    workspace = Storage.open(str(tmp_path / "workspace"))
    stage = workspace.at("backbone", "made")
    stage.create()
    save_backbone(backbone, stage, BACKBONE_FILE, image_size=64, lineage={})
    stage.write_table(HISTORY_FILE, pa.table({"epoch": [0, 1, 2], "seconds": [None, 2.0, 3.5]}))
    made = Artifact("backbone", "made", stage, {"results": {"start": "coco.safetensors"}}, reused=False)
    monkeypatch.setattr(Pipeline, "backbone", property(lambda self: made))
    document = {"backbone": {"start": str(tmp_path / "coco.safetensors")}}
    project = validate(Project, document, "A test's project")

    run = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    whole = WholeStart(project, workspace, run).backbone

    state, metadata = load_weights(Path(whole.directory.path) / BACKBONE_FILE)
    own = backbone.library_state_dict()
    assert state.keys() == start.keys()
    for key, tensor in state.items():
        assert torch.equal(tensor, own[key] if key in own else start[key])
    assert whole.results["start"] == "coco.safetensors"  # by which the detector stage freezes it
    assert epochs_seconds(whole) == 5.5
    _, report = filled_detector(
        "yolov8n", ("anomaly",), SQUARE, 0, state=state, metadata=metadata, source="the whole"
    )
    for part in ("backbone", "neck", "head"):
        assert report.parts[part].tensors == report.parts[part].of_tensors
