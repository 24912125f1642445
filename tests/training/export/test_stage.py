"""The export stage: what either kind of weights becomes."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from cluster.errors import UserError
from cluster.stages import Site
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from tests.silent_tracking import SilentPipeline
from training.evaluation.section import EvaluateSection
from training.export import stage
from training.export.further_files import Conditions
from training.export.section import ExportSection
from training.export.stage import CONTRACT_FILE, ONNX_FILE, export_model
from training.models.backbones.base import build
from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.prediction.section import PredictSection
from training.runtimes.onnx_export import OnnxCheck
from training.starts.backbone_file import save_backbone
from training.starts.detector_file import save_detector
from training.starts.model_source import open_model

PLAIN, NO_IMAGES = ExportSection(), Conditions(None, PredictSection(), EvaluateSection())


def test_a_backbone_becomes_its_librarys_file_and_a_contract(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder, workspace = Storage.open(str(tmp_path)), Storage.open(str(tmp_path / "workspace"))
    save_backbone(build("resnet18"), folder, "b.safetensors", image_size=64, lineage={"corpus": "ab"})
    pipeline = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    with open_model(str(tmp_path / "b.safetensors"), pytest.fail) as model:
        made = export_model(PLAIN, NO_IMAGES, model=model, site=Site(workspace, pipeline))
        again = export_model(PLAIN, NO_IMAGES, model=model, site=Site(workspace, pipeline))
        for section in (ExportSection(nms=True), ExportSection(formats=("openvino-fp32",))):
            with pytest.raises(
                UserError, match="is a backbone, which is written as its library's file alone"
            ):
                export_model(section, NO_IMAGES, model=model, site=Site(workspace, pipeline))
    assert again.reused
    contract = made.directory.read_json(CONTRACT_FILE)
    assert contract["architecture"] == made.results["architecture"]
    assert contract["preprocessing"]["size"] == 64
    assert contract["native"] == {"file": made.results["native"], "load": made.results["load"]}
    assert made.directory.exists(made.results["native"])
    assert str(tmp_path) not in made.results["load"]
    assert set(made.results) == {"model", "architecture", "native", "load"}


def test_a_detector_becomes_onnx_its_librarys_file_and_a_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_onnx(detector: Detector, path: Path, lineage: Mapping[str, str]) -> OnnxCheck:
        path.write_bytes(b"onnx")
        return OnnxCheck(boxes=0.25, scores=0.5)

    monkeypatch.setattr(stage, "export_onnx", export_onnx)
    torch.manual_seed(0)
    folder, workspace = Storage.open(str(tmp_path)), Storage.open(str(tmp_path / "workspace"))
    detector = build_detector("yolov8n", ("crack", "hole"), Preprocessing(64, "letterbox"))
    save_detector(detector, folder, "d.safetensors", {})
    pipeline = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    with open_model(str(tmp_path / "d.safetensors"), pytest.fail) as model:
        made = export_model(PLAIN, NO_IMAGES, model=model, site=Site(workspace, pipeline))
    assert made.directory.read(ONNX_FILE) == b"onnx"
    contract = made.directory.read_json(CONTRACT_FILE)
    assert contract["classes"] == ["crack", "hole"]
    assert contract["native"] == {"file": "detector.pt", "load": made.results["load"]}
    assert made.directory.exists("detector.pt")
    assert made.results["onnx"] == ONNX_FILE
    assert (made.results["max_box_error"], made.results["max_score_error"]) == (0.25, 0.5)
    assert set(made.results) == {
        *("model", "architecture", "max_box_error", "max_score_error", "onnx", "native", "load"),
    }
    assert "levels" not in contract["input"]
    detector.levels = (200.0, 3_900.0)  # of images of more than 8 bits
    save_detector(detector, folder, "deep.safetensors", {})
    with open_model(str(tmp_path / "deep.safetensors"), pytest.fail) as model:
        deep = export_model(PLAIN, NO_IMAGES, model=model, site=Site(workspace, pipeline))
    told = deep.directory.read_json(CONTRACT_FILE)["input"]["levels"]
    assert (told["black"], told["white"]) == (200, 3_900)
