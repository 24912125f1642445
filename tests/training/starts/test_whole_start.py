"""A backbone pretrained from a detector's weights goes back into that detector, neck and head untouched."""

from pathlib import Path

import torch

from cluster.storage.storage import Storage
from training.models.backbones.base import build
from training.models.detectors.base import build_detector
from training.models.letterbox import Preprocessing
from training.starts.backbone_file import BACKBONE_FILE, load_backbone, save_backbone
from training.starts.filling import filled_detector
from training.weights.files import load_weights

SQUARE = Preprocessing(64, "square")


def test_neck_and_head_stay_the_start_s(tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = build_detector("yolov8n", ("person", "car"), SQUARE).state_dict()
    torch.manual_seed(1)
    backbone = build("yolov8n")
    beyond = backbone.beyond({**start, "optimizer": torch.ones(1), "model.9x": torch.ones(1)})
    folder = Storage.open(str(tmp_path))
    save_backbone(backbone, folder, BACKBONE_FILE, image_size=64, lineage={}, beyond=beyond)

    state, metadata = load_weights(tmp_path / BACKBONE_FILE)
    own = backbone.library_state_dict()
    assert state.keys() == start.keys()
    for key, tensor in state.items():
        assert torch.equal(tensor, own[key] if key in own else start[key])
    detector, report = filled_detector(
        "yolov8n", ("anomaly",), SQUARE, 0, state=state, metadata=metadata, source="the whole"
    )
    for part in ("backbone", "neck", "head"):
        assert report.parts[part].tensors == report.parts[part].of_tensors
    filled = detector.state_dict()
    assert any(key not in own and torch.equal(filled[key], start[key]) for key in filled)
    again = load_backbone(tmp_path / BACKBONE_FILE).library_state_dict()
    assert again.keys() == own.keys()
    assert all(torch.equal(again[key], own[key]) for key in own)


def test_a_classifier_s_last_layer_is_not_kept() -> None:
    backbone = build("resnet18")
    assert backbone.beyond({"fc.weight": torch.ones(1000, 512), **backbone.library_state_dict()}) == {}
