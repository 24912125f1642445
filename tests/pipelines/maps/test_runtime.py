"""onnxruntime in the place of PyTorch: the same numbers, or PyTorch with a reason."""

import sys

import numpy as np
import pytest
import torch

from cluster.config import validate
from cluster.errors import UserError
from pipelines.encoder import CategoryPrompts, DenseEmbeddings
from pipelines.maps import KeadSettings, MapsSection, method_over
from pipelines.maps.kead import KeAD
from pipelines.maps.onnx_tower import OnnxTower
from pipelines.maps.runtime import LEAST_WEIGHTS, say_precision, take_runtime
from pipelines.maps.section import Precision
from tests.pipelines.tiny_encoder import IMAGE, tiny_clip, tiny_encoder

PROMPTS = CategoryPrompts.model_validate(
    {"object": "rail", "defects": [{"type": "crack", "features": "a thin dark line"}]}
)
ONNX = MapsSection.model_validate({"runtime": "onnx", "kead": {"shots": 1}})
TORCH = ONNX.model_copy(update={"runtime": "torch"})


def pictures(count: int) -> torch.Tensor:
    random = np.random.default_rng(count)
    return torch.from_numpy(random.integers(0, 256, (count, 3, IMAGE, IMAGE), dtype=np.uint8))


@pytest.mark.parametrize("settings", [{}, {"released_layers": True}, {"layers": [2, 5, 2]}], ids=str)
def test_maps_are_those_of_pytorch(settings: dict[str, object]) -> None:
    outputs = []
    for section in (ONNX, TORCH):
        kead = section.kead.model_copy(update=settings)
        method = method_over(tiny_encoder(), section.model_copy(update={"kead": kead}))
        state = method.category_state(PROMPTS, pictures(1))
        outputs.append(method(pictures(5), [state] * 5))
    assert outputs[0].maps.numpy() == pytest.approx(outputs[1].maps.numpy(), abs=1e-4)
    assert outputs[0].score.numpy() == pytest.approx(outputs[1].score.numpy(), abs=1e-4)
    assert not torch.equal(outputs[0].maps, outputs[1].maps)  # another runtime did make them


def test_the_runtime_is_no_part_of_the_fingerprint() -> None:
    assert ONNX.deciding == TORCH.deciding == MapsSection.model_validate({"kead": {"shots": 1}}).deciding


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ({"runtime": "tensorrt"}, "'auto', 'torch' or 'onnx'"),
        ({"runtime": "onnx", "method": "winclip"}, "winclip runs on PyTorch alone"),
        ({"runtime": "onnx", "precision": "bf16"}, "precision=fp32"),
        ({"runtime": "onnx", "compile": True}, "compile=false"),
    ],
    ids=str,
)
def test_what_no_runtime_can_do_is_refused(maps: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        validate(MapsSection, maps, "maps")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "pipelines.maps.onnx_tower", raising=False)
    with pytest.raises(UserError, match=r"onnxruntime is not installed; take maps\.runtime=torch"):
        method_over(tiny_encoder(), ONNX)


def test_a_tower_without_nodes_stays_on_pytorch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_clip()
    model.visual.transformer.resblocks[0].mlp[1] = torch.nn.SiLU()
    with pytest.raises(UserError, match="an activation SiLU"):
        method_over(tiny_encoder(model), ONNX)
    monkeypatch.setattr("pipelines.maps.runtime.LEAST_WEIGHTS", 0)
    method = method_over(tiny_encoder(model), MapsSection())
    assert method.embed(pictures(1)).cls.shape == (1, 16)
    assert "runs on PyTorch, not on onnxruntime: the tower has an activation SiLU" in capsys.readouterr().err


def test_a_runtime_that_gives_other_numbers_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = OnnxTower.__call__

    def wrong(self: OnnxTower, images: torch.Tensor) -> DenseEmbeddings:
        embedded = right(self, images)
        embedded.patches[-1][0, 0, 0] += 2e-4
        return embedded

    monkeypatch.setattr(OnnxTower, "__call__", wrong)
    with pytest.raises(UserError, match="differ from PyTorch's by"):
        method_over(tiny_encoder(), ONNX)
    monkeypatch.setattr("pipelines.maps.runtime.LEAST_WEIGHTS", 0)
    method = KeAD(tiny_encoder(), TORCH.kead)
    before = method.embed(pictures(2))
    take_runtime(method, MapsSection())
    assert torch.equal(method.embed(pictures(2)).patches[-1], before.patches[-1])
    assert "differ from PyTorch's by" in capsys.readouterr().err


def test_small_towers_are_left_on_pytorch() -> None:
    method = KeAD(tiny_encoder(), TORCH.kead)
    embed = method._embed
    take_runtime(method, MapsSection())
    assert method._embed == embed
    assert sum(weight.numel() for weight in method.dense.parameters()) < LEAST_WEIGHTS


@pytest.mark.parametrize(
    ("precision", "products", "least_weights", "words"),
    [
        ("fp32", ("avx512_bf16",), 0, "maps.precision=bf16 takes about two thirds of the time"),
        ("fp32", ("avx512_bf16",), LEAST_WEIGHTS, ""),  # a small encoder gains a tenth
        ("fp32", (), 0, ""),
        ("bf16", (), 0, "maps.precision=fp32 is as fast or faster"),
        ("bf16", ("amx_bf16",), 0, ""),
    ],
)
def test_a_precision_that_suits_the_cpu_is_named_and_none_is_taken(
    precision: Precision,
    products: tuple[str, ...],
    least_weights: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cluster.cpu_products.bf16_products", lambda: products)
    monkeypatch.setattr("pipelines.maps.runtime.LEAST_WEIGHTS", least_weights)
    method = KeAD(tiny_encoder(), KeadSettings(shots=0), precision)
    say_precision(method)
    assert method.precision == precision
    said = " ".join(capsys.readouterr().err.split())
    assert words in said if words else not said
