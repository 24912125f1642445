"""The image tower with its V-V stream by onnxruntime, in the place of PyTorch's."""

from typing import Any

import onnxruntime
import torch
from onnx import TensorProto
from torch import Tensor

from pipelines.encoder import DenseEmbeddings, DenseEncoder, Graph, TowerGraph

IMAGES = "images"


class OnnxTower:
    """A dense encoder by onnxruntime on the CPU, from and to torch tensors; float32.

    Args:
        dense: the encoder, float32 on the CPU.
        threads: threads of a product.

    Raises:
        UnknownPartError: the tower has a part that no ONNX node is written for.
        ValueError: the tower is too large for an ONNX file.
    """

    def __init__(self, dense: DenseEncoder, threads: int) -> None:
        content, self.cls, self.patches = tower_file(dense)
        self.names = list(dict.fromkeys([self.cls, *self.patches]))  # a layer may be read twice
        self.session = session_of(content, threads)

    def __call__(self, images: Tensor) -> DenseEmbeddings:
        """See `DenseEncoder.forward`."""
        values = self.session.run(self.names, {IMAGES: images.contiguous().numpy()})
        tensors = {name: torch.from_numpy(value) for name, value in zip(self.names, values, strict=True)}
        return DenseEmbeddings(tensors[self.cls], [tensors[name] for name in self.patches])


def tower_file(dense: DenseEncoder) -> tuple[bytes, str, list[str]]:
    """The ONNX file's content, and the names of its outputs; the graph's own copy of the weights is freed."""
    graph = Graph()
    cls, patches = TowerGraph(graph, dense).write(IMAGES)
    side = int(dense.visual.image_size[0])
    outputs: dict[str, list[Any]] = {name: ["batch", "tokens", "width"] for name in patches}
    outputs[cls] = ["batch", "width"]
    model = graph.model("tower", {IMAGES: (TensorProto.FLOAT, ["batch", 3, side, side])}, outputs)
    return model.SerializeToString(), cls, patches


def session_of(content: bytes, threads: int) -> Any:
    """A session on the CPU of a file's content; waiting threads sleep, as decoding wants their cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
