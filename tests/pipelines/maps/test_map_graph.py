"""The exported model of a category against the method itself, and its resize against Pillow."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from pipelines.encoder import CategoryPrompts, Graph
from pipelines.maps.kead import KeAD
from pipelines.maps.map_export import MOST_DIFFERENCE, compared
from pipelines.maps.map_graph import map_model, write_resize
from pipelines.maps.method import preprocess
from pipelines.maps.section import KeadSettings
from tests.onnx_session import session_of
from tests.pipelines.tiny_encoder import IMAGE, tiny_encoder

SIDE = 24
PROMPTS = CategoryPrompts.model_validate(
    {"object": "rail", "defects": [{"type": "crack", "features": "a thin dark line"}]}
)


@pytest.mark.parametrize(
    "sides",
    [
        *[(24, 24), (33, 50), (25, 23), (7, 90), (240, 11), (1, 1), (500, 333), (24, 100), (301, 24)],
        *[(40, 31), (40, 32), (40, 33), (20, 10), (10, 20)],  # where Pillow changes the order of its passes
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["noise", "black and white"])
def test_resize_is_pillows(sides: tuple[int, int], kind: str) -> None:
    graph = Graph()
    graph.add("Identity", write_resize(graph, "images", SIDE), name="out")
    ends: dict[str, tuple[int, list[Any]]] = {"images": (TensorProto.UINT8, ["batch", "height", "width", 3])}
    model = graph.model("resize", ends, {"out": ["batch", 3, SIDE, SIDE]})
    onnx.checker.check_model(model, full_check=True)
    session = session_of(model.SerializeToString())
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (2, *sides, 3), dtype=np.uint8)
    if kind != "noise":
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    (made,) = session.run(None, {"images": pixels})
    wanted = np.stack([preprocess(one, SIDE) for one in pixels])
    different = np.abs(made - wanted)
    assert different.max() <= 1  # a tie, which Pillow's fixed-point weights may round the other way
    assert (different > 0).mean() < 0.002


@pytest.mark.parametrize("value", [7.0, float("nan")], ids=str)
def test_a_file_that_gives_something_else_is_told_apart(value: float) -> None:
    method = KeAD(tiny_encoder(), KeadSettings(shots=0))
    state = method.category_state(PROMPTS, None)
    image = np.random.default_rng(4).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    model = map_model(method, state)
    assert max(compared(model.SerializeToString(), method, state, [image]).values()) <= MOST_DIFFERENCE
    weights = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    tampered = numpy_helper.to_array(weights).copy()
    tampered[(0,) * tampered.ndim] = value
    weights.raw_data = tampered.tobytes()
    differences = compared(model.SerializeToString(), method, state, [image, image])
    assert not max(differences.values()) <= MOST_DIFFERENCE


@pytest.mark.parametrize(
    "settings",
    [
        {"shots": 2},
        {"shots": 0},
        {"shots": 1, "few_weight": 0.3, "score": "released", "temperature": 0.1},
        {"shots": 1, "released_layers": True, "redundant_text": True},
    ],
    ids=str,
)
def test_the_file_gives_the_methods_maps(settings: dict[str, object]) -> None:
    method = KeAD(tiny_encoder(), KeadSettings.model_validate(settings))
    random = np.random.default_rng(2)
    references = torch.from_numpy(random.integers(0, 256, (2, 3, IMAGE, IMAGE), dtype=np.uint8))
    state = method.category_state(PROMPTS, references)
    images = random.integers(0, 256, (3, 40, 31, 3), dtype=np.uint8)
    wanted = method(torch.from_numpy(np.stack([method.preprocess(one) for one in images])), [state] * 3)
    model = map_model(method, state)
    session = session_of(model.SerializeToString())
    maps, scores = session.run(["map", "score"], {"images": images})
    assert maps.shape == tuple(wanted.maps.shape)
    assert maps == pytest.approx(wanted.maps.numpy(), abs=1e-3)
    assert scores == pytest.approx(wanted.score.numpy(), abs=1e-3)
