"""A category's whole map method as one ONNX model: image in, anomaly map and score out."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from pipelines.encoder import Graph, TowerGraph
from pipelines.maps.kead import KeAD
from pipelines.maps.method import CategoryState

IMAGES, OUTPUTS = "images", ("map", "score")


def map_model(method: KeAD, state: CategoryState) -> onnx.ModelProto:
    """KeAD of one category: `images` (batch, height, width, 3) uint8 to `map` (batch, g, g), `score` (batch).

    Args:
        method: the method, its encoder float32 on the CPU.
        state: the category's text embeddings and bank.

    Raises:
        UnknownPartError: the tower has a part that no ONNX node is written for.
        ValueError: encoder and bank are too large for an ONNX file.
    """
    graph = Graph()
    resized = write_resize(graph, IMAGES, method.input_side)
    mean, std = method.encoder.mean, method.encoder.std
    scaled = graph.add("Div", resized, graph.constant(255.0))
    centred = graph.add("Sub", scaled, graph.constant([[[v]] for v in mean]))
    cls, patches = TowerGraph(graph, method.dense).write(
        graph.add("Div", centred, graph.constant([[[v]] for v in std]))
    )
    _write_match(graph, method, state, cls, patches)
    shape = ["batch", "height", "width", 3]
    model = graph.model(
        "anomaly map",
        {IMAGES: (TensorProto.UINT8, shape)},
        {"map": ["batch", method.grid, method.grid], "score": ["batch"]},
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _write_match(graph: Graph, method: KeAD, state: CategoryState, cls: str, patches: list[str]) -> None:
    """Eq. 1 to 5 and the image score; see `KeAD.match`."""
    settings = method.settings
    towards = ((state.t_a - state.t_n) / settings.temperature)[None]
    zero = _mean(graph, [_probability(graph, graph.linear(layer, towards)) for layer in patches])
    maps = zero
    if state.banks:
        few = _mean(
            graph, [_nearest(graph, layer, bank) for layer, bank in zip(patches, state.banks, strict=True)]
        )
        weighted = [(zero, 2 * (1 - settings.few_weight)), (few, 2 * settings.few_weight)]
        maps = graph.add("Add", *(graph.add("Mul", x, graph.constant(weight)) for x, weight in weighted))
    highest = graph.add("ReduceMax", maps, graph.whole([-1]), keepdims=0)
    score = graph.add("Add", _probability(graph, graph.linear(cls, towards)), highest)
    halved = settings.score == "released"
    graph.add("Mul", score, graph.constant(0.5 if halved else 1.0), name="score")
    graph.add("Reshape", maps, graph.whole([-1, method.grid, method.grid]), name="map")


def _probability(graph: Graph, logits: str) -> str:
    """Eq. 1 of `f·(t_a − t_n)/τ`, (…, 1); (…)."""
    return graph.add("Squeeze", graph.add("Sigmoid", logits), graph.whole([-1]))


def _nearest(graph: Graph, layer: str, bank: Any) -> str:
    """See `nearest_distance`; (B, N)."""
    closest = graph.add("ReduceMax", graph.linear(layer, bank), graph.whole([-1]), keepdims=0)
    half = graph.constant(0.5)
    distance = graph.add("Sub", half, graph.add("Mul", half, closest))
    return graph.add("Max", distance, graph.constant(0.0))


def _mean(graph: Graph, values: list[str]) -> str:
    return graph.add("Mean", *values)


def write_resize(graph: Graph, images: str, side: int) -> str:
    """Pillow's bicubic resize with antialiasing, as `preprocess` does it; (B, 3, side, side) float32.

    Products with one matrix a side, rounded to whole values after each, as Pillow does. ONNX's own Resize
    always takes the columns first; Pillow 13 takes the rows first where `rows > side` and
    `2·columns < rows + side`, and the rounding between makes the two differ.

    Args:
        graph: the graph.
        images: (B, H, W, 3) uint8.
        side: pixels of the result's sides.
    """
    channels = graph.add("Transpose", images, perm=[0, 3, 1, 2])
    planes = graph.add("Cast", channels, to=TensorProto.FLOAT)
    down = _weights(graph, images, 1, side)
    across = graph.add("Transpose", _weights(graph, images, 2, side), perm=[1, 0])
    rows, columns = (_length(graph, images, axis) for axis in (1, 2))
    goal = graph.constant(side, np.float64)
    narrow = graph.add("Less", graph.add("Add", columns, columns), graph.add("Add", rows, goal))
    rows_first = graph.add("And", graph.add("Greater", rows, goal), narrow)
    branches = {}
    for name, vertical in (("then", True), ("else", False)):
        inside = Graph(f"{name}_")
        x = planes
        for vertically in (vertical, not vertical):
            pair = (down, x) if vertically else (x, across)
            x = _whole_values(inside, inside.add("MatMul", *pair))
        branches[f"{name}_branch"] = inside.branch(x)
    return graph.add("If", rows_first, **branches)


def _length(graph: Graph, images: str, axis: int) -> str:
    """Pixels along an axis, float64."""
    length = graph.add("Shape", images, start=axis, end=axis + 1)
    return graph.add("Cast", graph.add("Squeeze", length), to=TensorProto.DOUBLE)


def _whole_values(graph: Graph, x: str) -> str:
    """Halves are rounded up, as Pillow's fixed-point numbers are."""
    rounded = graph.add("Floor", graph.add("Add", x, graph.constant(0.5)))
    return graph.add("Clip", rounded, graph.constant(0.0), graph.constant(255.0))


def _weights(graph: Graph, images: str, axis: int, side: int) -> str:
    """What each pixel of a result's line takes of the source's, (side, pixels); Keys' cubic with a = −½."""

    def number(value: Any) -> str:
        return graph.constant(value, np.float64)

    pixels = _length(graph, images, axis)
    scale = graph.add("Div", pixels, number(side))
    centres = graph.add("Mul", number((np.arange(side) + 0.5)[:, None]), scale)
    places = graph.add("Add", graph.add("Range", number(0.0), pixels, number(1.0)), number(0.5))
    wide = graph.add("Max", scale, number(1.0))
    x = graph.add("Div", graph.add("Abs", graph.add("Sub", places, centres)), wide)

    def polynomial(*factors: float) -> str:
        """Horner's scheme."""
        value = number(factors[0])
        for factor in factors[1:]:
            value = graph.add("Add", graph.add("Mul", value, x), number(factor))
        return value

    near, far = polynomial(1.5, -2.5, 0.0, 1.0), polynomial(-0.5, 2.5, -4.0, 2.0)
    outer = graph.add("Where", graph.add("Less", x, number(2.0)), far, number(0.0))
    weights = graph.add("Where", graph.add("Less", x, number(1.0)), near, outer)
    total = graph.add("ReduceSum", weights, graph.whole([1]), keepdims=1)
    return graph.add("Cast", graph.add("Div", weights, total), to=TensorProto.FLOAT)
