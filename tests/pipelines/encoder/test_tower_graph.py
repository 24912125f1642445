"""The ONNX tower against the tower in float64."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from pipelines.encoder import DenseEncoder, Graph, TowerGraph, UnknownPartError
from tests.onnx_session import session_of
from tests.pipelines.tiny_encoder import IMAGE, tiny_clip

BATCH = 3


def outputs_of(dense: DenseEncoder, images: torch.Tensor) -> list[np.ndarray[Any, Any]]:
    """Image embedding and patch embeddings of each layer, by onnxruntime."""
    graph = Graph()
    cls, patches = TowerGraph(graph, dense).write("images")
    outputs: dict[str, list[Any]] = {cls: ["batch", "d"]} | {name: ["batch", "n", "d"] for name in patches}
    shape: list[Any] = ["batch", 3, IMAGE, IMAGE]
    made = graph.model("tower", {"images": (onnx.TensorProto.FLOAT, shape)}, outputs)
    onnx.checker.check_model(made, full_check=True)
    session = session_of(made.SerializeToString())
    values = dict(zip(outputs, session.run(None, {"images": images.float().numpy()}), strict=True))
    return [values[name] for name in (cls, *patches)]


@pytest.mark.parametrize(
    ("vision", "settings"),
    [
        ({}, {}),
        ({}, {"vv": False}),
        ({}, {"residual": False}),
        ({}, {"released_layers": True}),
        ({}, {"layers": (5, 2, 2)}),
        ({"pool_type": "avg"}, {}),
        ({"final_ln_after_pool": True}, {}),
        ({"no_ln_pre": True, "ls_init_value": 0.5}, {}),
        ({"act_kwargs": {"approximate": "tanh"}}, {}),
    ],
    ids=str,
)
def test_every_kind_of_tower_gives_its_embeddings(vision: dict[str, Any], settings: dict[str, Any]) -> None:
    model = tiny_clip(**vision)
    images = torch.randn(BATCH, 3, IMAGE, IMAGE, dtype=torch.float64)
    with torch.no_grad():
        wanted = DenseEncoder(model.visual, **settings)(images)
    cls, *patches = outputs_of(DenseEncoder(model.float().visual, **settings), images)
    assert cls == pytest.approx(wanted.cls.numpy(), abs=1e-5)
    for layer, patch in zip(patches, wanted.patches, strict=True):
        assert layer == pytest.approx(patch.numpy(), abs=1e-5)


def test_quick_gelu() -> None:
    model = tiny_clip(quick_gelu=True)
    images = torch.randn(BATCH, 3, IMAGE, IMAGE, dtype=torch.float64)
    with torch.no_grad():
        wanted = DenseEncoder(model.visual)(images).cls.numpy()
    cls, *_ = outputs_of(DenseEncoder(model.float().visual), images)
    assert cls == pytest.approx(wanted, abs=1e-5)


def test_a_part_without_a_node_is_refused() -> None:
    model = tiny_clip().float()
    model.visual.transformer.resblocks[1].mlp[1] = torch.nn.SiLU()
    with pytest.raises(UnknownPartError, match="SiLU"):
        outputs_of(DenseEncoder(model.visual), torch.zeros(1, 3, IMAGE, IMAGE))


def test_weights_that_no_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.encoder.graph.MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="its weights take more than"):
        outputs_of(DenseEncoder(tiny_clip().float().visual), torch.zeros(1, 3, IMAGE, IMAGE))
