"""An ONNX graph written node by node: no tracing, so it is made in seconds and is the same every time."""

from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

# 20: Gelu is an operator of its own. onnxruntime reads it from 1.18 on, OpenVINO from 2024.
OPSET, IR_VERSION = 20, 9
MOST_BYTES = 2**31 - 2**20  # of one ONNX file: it is one protobuf message


class Graph:
    """Nodes and constants so far; values are known by their names.

    Args:
        prefix: begins the names; a branch of another graph needs its own.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.bytes = 0

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """A node with one output; returns the output's name."""
        output = name or f"{self.prefix}v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        """A constant of a numpy type, from a number, a list, an array or a tensor on the CPU.

        Raises:
            ValueError: the constants are more than one ONNX file can hold.
        """
        plain = value.detach().numpy() if isinstance(value, Tensor) else value
        array = np.asarray(plain, kind, order="C")
        self.constants.append(numpy_helper.from_array(array, f"{self.prefix}c{len(self.constants)}"))
        self.bytes += array.nbytes
        if self.bytes > MOST_BYTES:
            raise ValueError(f"its weights take more than the {MOST_BYTES / 2**30:.0f} GiB of an ONNX file")
        return self.constants[-1].name

    def whole(self, value: Any) -> str:
        """A constant of int64: shapes, axes and places."""
        return self.constant(value, np.int64)

    def linear(self, x: str, weight: Tensor, bias: Tensor | None = None) -> str:
        """`x Wᵀ + b` over the last axis."""
        product = self.add("MatMul", x, self.constant(weight.T))
        return product if bias is None else self.add("Add", product, self.constant(bias))

    def branch(self, output: str) -> onnx.GraphProto:
        """The graph as a branch of an If, whose nodes may read values of the graph around; float32."""
        value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        return helper.make_graph(self.nodes, f"{self.prefix}branch", [], [value], self.constants)

    def model(
        self, name: str, inputs: dict[str, tuple[int, list[Any]]], outputs: dict[str, list[Any]]
    ) -> onnx.ModelProto:
        """The finished model.

        Args:
            name: the graph's name.
            inputs: element type (of `TensorProto`) and shape by name.
            outputs: shape by name; all float32.
        """
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="agssp")
