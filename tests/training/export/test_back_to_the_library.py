"""Weights trained here go back to where their model came from: read by the library, they see the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
import torchvision
import ultralytics
from torch import Tensor
from typer.testing import CliRunner

from agssp import app
from cluster.errors import UserError
from cluster.storage.storage import Storage
from training.export.backbone_export import export_backbone
from training.models.backbones.base import build
from training.starts.backbone_file import save_backbone
from training.weights.files import save_weights
from training.weights.pickled import read_pickled

IMAGE = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def trained(name: str, folder: Path) -> tuple[Any, Path]:
    """A backbone after two steps, batch norms' statistics moved too, and its file."""
    torch.manual_seed(0)
    backbone = build(name).train()
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):
        loss = torch.stack([x.square().mean() for x in backbone(IMAGE)]).sum()
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
    save_backbone(backbone, Storage.open(str(folder)), "b.safetensors", image_size=64, lineage={})
    return backbone.eval(), folder / "b.safetensors"


def run(line: str) -> Any:
    """What the line of Python that we tell the user makes."""
    return eval(line, {"timm": timm, "ultralytics": ultralytics, "safetensors": safetensors})


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224"])
def test_timm_makes_its_model_of_the_file(name: str, tmp_path: Path) -> None:
    backbone, file = trained(name, tmp_path)
    model = run(backbone.loading(str(file))).eval()
    with torch.no_grad():
        own, theirs = backbone(IMAGE), model.forward_intermediates(IMAGE, intermediates_only=True)
    assert all(any(torch.equal(x, other) for other in theirs) for x in own)
    path, line = export_backbone(file, tmp_path / "out")
    assert path.suffix == ".safetensors"
    again = run(line).state_dict()
    assert all(torch.equal(x, again[key]) for key, x in model.state_dict().items())


def test_torchvisions_detectors_take_a_resnet(tmp_path: Path) -> None:
    backbone, file = trained("resnet50", tmp_path)
    detector = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    body = detector.eval().backbone.body
    body.load_state_dict(safetensors.torch.load_file(file))  # strict: every key has its place
    with torch.no_grad():
        for own, theirs in zip(backbone(IMAGE), body(IMAGE).values(), strict=True):
            torch.testing.assert_close(own, theirs, rtol=1e-5, atol=1e-6)
    whole = torchvision.models.resnet50()
    missing, unexpected = whole.load_state_dict(safetensors.torch.load_file(file), strict=False)
    assert (missing, unexpected) == (["fc.weight", "fc.bias"], [])


def layers(model: Any, backbone: Any) -> list[Tensor]:
    """The maps of the backbone's stages, of the library's whole detector."""
    x, found = IMAGE, []
    with torch.no_grad():
        for index, layer in enumerate(model.model[: backbone.ends[-1] + 1]):
            x = layer(x)
            if index in backbone.ends:
                found.append(x)
    return found


@pytest.mark.parametrize("name", ["yolov8s"])
def test_ultralytics_takes_the_state_dict_and_the_exported_file(name: str, tmp_path: Path) -> None:
    backbone, file = trained(name, tmp_path)
    with torch.no_grad():
        own = backbone(IMAGE)
    yolo = ultralytics.YOLO(f"{name}.yaml")
    missing, unexpected = yolo.model.load_state_dict(safetensors.torch.load_file(file), strict=False)
    assert not unexpected
    assert not {key for key in missing if int(key.split(".")[1]) <= backbone.ends[-1]}
    assert all(map(torch.equal, own, layers(yolo.model.eval(), backbone)))
    path, line = export_backbone(file, tmp_path / "out")
    assert path.name == "backbone.pt"
    assert all(map(torch.equal, own, layers(run(line).model.eval(), backbone)))
    assert read_pickled(path).keys() == backbone.library_state_dict().keys()


@pytest.mark.slow
def test_the_export_command_takes_a_backbone(tmp_path: Path) -> None:
    backbone, file = trained("resnet18", tmp_path)
    words = ["export", "--model", str(file), "--out", str(tmp_path / "out"), f"workspace={tmp_path / 'w'}"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.stderr
    results = json.loads(done.stdout.strip().splitlines()[-1])["results"]
    model = run(results["load"].replace(results["native"], str(tmp_path / "out" / results["native"])))
    own = backbone.library_state_dict()
    assert all(torch.equal(x, own[key]) for key, x in model.state_dict().items())
    assert json.loads((tmp_path / "out" / "contract.json").read_text())["architecture"] == "resnet18"


def test_a_detectors_file_is_not_exported_as_a_backbone(tmp_path: Path) -> None:
    save_weights(tmp_path / "d.safetensors", {"model.0.w": torch.ones(1)}, {"kind": "detector"})
    with pytest.raises(UserError, match="is not a backbone made here"):
        export_backbone(tmp_path / "d.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()
