"""Which nodes are left in floating point: those from which no layer of weights is reached."""

import numpy as np
from onnx import GraphProto, helper, numpy_helper

from training.export.decoding import decoding_nodes


def graph(nodes: list[tuple[str, str, list[str], str]], **weights: tuple[int, ...]) -> GraphProto:
    made = [helper.make_node(kind, inputs, [output], name=name) for name, kind, inputs, output in nodes]
    tensors = [numpy_helper.from_array(np.zeros(shape, np.float32), key) for key, shape in weights.items()]
    return helper.make_graph(made, "g", [], [], tensors)


def test_what_lies_between_layers_is_no_decoding() -> None:
    nodes = [
        ("first", "Conv", ["x", "w"], "a"),
        ("act", "Sigmoid", ["a"], "b"),
        ("head", "Conv", ["b", "w"], "c"),
        ("flat", "Reshape", ["c", "s"], "d"),
        ("probability", "Sigmoid", ["d"], "scores"),
    ]
    assert set(decoding_nodes(graph(nodes, w=(8, 8, 3, 3)))) == {"flat", "probability"}


def test_the_mean_of_a_distribution_is_decoding_though_it_is_a_convolution() -> None:
    nodes = [
        ("head", "Conv", ["x", "w"], "c"),
        ("softmax", "Softmax", ["c"], "p"),
        ("dfl", "Conv", ["p", "bins"], "d"),
        ("scale", "Mul", ["d", "s"], "boxes"),
    ]
    weights = {"w": (64, 32, 1, 1), "bins": (1, 16, 1, 1)}
    assert set(decoding_nodes(graph(nodes, **weights))) == {"softmax", "dfl", "scale"}


def test_boxes_that_go_back_into_layers_are_not() -> None:
    """Decoders of the DETR family refine boxes layer by layer."""
    nodes = [
        ("layer", "MatMul", ["x", "w"], "a"),
        ("refine", "Add", ["a", "r"], "boxes"),
        ("next", "MatMul", ["boxes", "w"], "b"),
        ("last", "Sigmoid", ["b"], "scores"),
    ]
    assert decoding_nodes(graph(nodes, w=(8, 8))) == ["last"]
