"""Which nodes of a detector's graph come behind its last layers of weights: they make boxes of numbers."""

from onnx import GraphProto, NodeProto

LAYERS = ("Conv", "MatMul", "Gemm")
EXPECTATION = 1  # filters of the convolution that makes a distance of a distribution (YOLO's DFL)


def decoding_nodes(graph: GraphProto) -> list[str]:
    """Names of the nodes from which no further layer is reached, apart from an expectation over bins.

    They hold pixels and probabilities, which 8 bits would round to steps of several pixels.

    Args:
        graph: a detector's, with its weights.
    """
    filters = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    sizes = {tensor.name: tensor.dims[1] for tensor in graph.initializer if len(tensor.dims) > 1}
    before_layer: set[str] = set()  # values that some layer is made of
    names: list[str] = []
    for node in reversed(graph.node):
        layer = node.op_type in LAYERS and not _expectation(node, filters, sizes)
        if layer or before_layer & set(node.output):
            before_layer |= set(node.input)
        if not layer and not before_layer & set(node.output):
            names.append(node.name)
    return names


def _expectation(node: NodeProto, filters: dict[str, int], channels: dict[str, int]) -> bool:
    """Whether a convolution is the fixed one of a distribution's mean: one filter over 16 bins."""
    weight = node.input[1] if len(node.input) > 1 else ""
    return node.op_type == "Conv" and filters.get(weight) == EXPECTATION and channels.get(weight) == 16
