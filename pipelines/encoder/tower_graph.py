"""The image tower with its V-V stream as ONNX nodes: `DenseEncoder` (surgery.py), operation by operation."""

from typing import Any

from open_clip.transformer import LayerNorm, LayerNormFp32, LayerScale, QuickGELU
from torch import nn

from pipelines.encoder.graph import Graph
from pipelines.encoder.surgery import DenseEncoder, packed_rows


class UnknownPartError(ValueError):
    """The tower has a part that no ONNX node is written for."""


class TowerGraph:
    """Writes one dense encoder into a graph.

    Args:
        graph: the graph, which grows.
        dense: the encoder, float32 on the CPU.
    """

    def __init__(self, graph: Graph, dense: DenseEncoder) -> None:
        self.graph, self.dense, self.visual = graph, dense, dense.visual

    def write(self, images: str) -> tuple[str, list[str]]:
        """Nodes from normalised images, (B, 3, S, S), to the values of `DenseEmbeddings`, layer by layer.

        Raises:
            UnknownPartError: a module of another kind than open_clip's ViTs have.
        """
        graph, dense = self.graph, self.dense
        x = y = self._embedded(images)
        read = {dense.source_of(layer) for layer in dense.layers}
        outputs: dict[int, str] = {}
        for layer, block in enumerate(self.visual.transformer.resblocks, start=1):
            x, y = self._through(block, layer, x, y)
            if layer in read:
                outputs[layer] = y if dense.is_operated(layer) else x
        values = {layer: self._projected(self._patches(tokens)) for layer, tokens in outputs.items()}
        pooled = graph.linear(self._pooled(x), self.visual.proj.T)
        return self._normalised(pooled), [values[dense.source_of(layer)] for layer in dense.layers]

    def _embedded(self, images: str) -> str:
        graph, visual = self.graph, self.visual
        if type(visual.conv1) is not nn.Conv2d or visual.conv1.groups != 1:
            raise UnknownPartError(f"the tower has patches by {type(visual.conv1).__name__}")
        bias = [] if visual.conv1.bias is None else [graph.constant(visual.conv1.bias)]
        strides = [int(side) for side in visual.conv1.stride]
        maps = graph.add("Conv", images, graph.constant(visual.conv1.weight), *bias, strides=strides)
        width = int(visual.conv1.out_channels)
        flat = graph.add("Reshape", maps, graph.whole([0, width, -1]))
        tokens = graph.add("Transpose", flat, perm=[0, 2, 1])
        batch = graph.add("Shape", images, start=0, end=1)
        shape = graph.add("Concat", batch, graph.whole([1, width]), axis=0)
        first = graph.add("Expand", graph.constant(visual.class_embedding.view(1, 1, -1)), shape)
        joined = graph.add("Concat", first, tokens, axis=1)
        placed = graph.add("Add", joined, graph.constant(visual.positional_embedding))
        return self._norm(visual.ln_pre, placed)

    def _through(self, block: Any, layer: int, x: str, y: str) -> tuple[str, str]:
        graph, dense = self.graph, self.dense
        normed, attention = self._norm(block.ln_1, x), block.attn
        operated = dense.is_operated(layer)
        last = operated and layer == dense.depth and self.visual.pool_type == "tok"
        value = self._part(attention, normed, "v")
        key = self._part(attention, normed, "k")
        # Of the last block's own path only the class token is read.
        query = self._part(attention, self._first(normed) if last else normed, "q")
        mixed = self._attended(attention, query, key, value)
        if operated:
            attended = self._scaled(block.ls_1, self._attended(attention, value, value, value))
            before = x if layer == dense.first_surgery else y
            y = graph.add("Add", before, attended) if dense.residual else attended
        start = self._first(x) if last else x
        x = graph.add("Add", start, self._scaled(block.ls_1, mixed))
        forward = self._feed_forward(block.mlp, self._norm(block.ln_2, x))
        return graph.add("Add", x, self._scaled(block.ls_2, forward)), y

    def _part(self, attention: Any, x: str, part: str) -> str:
        """Query, key or value, (B, heads, L, width/heads)."""
        heads, width = attention.num_heads, attention.embed_dim
        packed = self.graph.linear(x, *packed_rows(attention, part))
        split = self.graph.add("Reshape", packed, self.graph.whole([0, 0, heads, width // heads]))
        return self.graph.add("Transpose", split, perm=[0, 2, 1, 3])

    def _attended(self, attention: Any, query: str, key: str, value: str) -> str:
        graph, width = self.graph, attention.embed_dim
        scale = graph.constant((width // attention.num_heads) ** -0.5)
        turned = graph.add("Transpose", key, perm=[0, 1, 3, 2])
        scores = graph.add("MatMul", graph.add("Mul", query, scale), turned)
        mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), value)
        side_by_side = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
        flat = graph.add("Reshape", side_by_side, graph.whole([0, 0, width]))
        return graph.linear(flat, attention.out_proj.weight, attention.out_proj.bias)

    def _feed_forward(self, mlp: Any, x: str) -> str:
        graph = self.graph
        widen, activation, narrow = mlp
        hidden = graph.linear(x, widen.weight, widen.bias)
        if type(activation) is nn.GELU:
            active = graph.add("Gelu", hidden, approximate=activation.approximate)
        elif type(activation) is QuickGELU:
            gate = graph.add("Sigmoid", graph.add("Mul", hidden, graph.constant(1.702)))
            active = graph.add("Mul", hidden, gate)
        else:
            raise UnknownPartError(f"the tower has an activation {type(activation).__name__}")
        return graph.linear(active, narrow.weight, narrow.bias)

    def _norm(self, norm: Any, x: str) -> str:
        if type(norm) is nn.Identity:
            return x
        if type(norm) not in (nn.LayerNorm, LayerNorm, LayerNormFp32):
            raise UnknownPartError(f"the tower has a norm {type(norm).__name__}")
        weight, bias = self.graph.constant(norm.weight), self.graph.constant(norm.bias)
        return self.graph.add("LayerNormalization", x, weight, bias, axis=-1, epsilon=norm.eps)

    def _scaled(self, scale: Any, x: str) -> str:
        if type(scale) is nn.Identity:
            return x
        if type(scale) is not LayerScale:
            raise UnknownPartError(f"the tower has a scale {type(scale).__name__}")
        return self.graph.add("Mul", x, self.graph.constant(scale.gamma))

    def _first(self, tokens: str) -> str:
        """The class token alone, (B, 1, width)."""
        return self._sliced(tokens, 0, 1)

    def _patches(self, tokens: str) -> str:
        """All tokens but the class token."""
        return self._sliced(tokens, 1, 2**31)

    def _sliced(self, tokens: str, start: int, stop: int) -> str:
        whole = self.graph.whole
        return self.graph.add("Slice", tokens, whole([start]), whole([stop]), whole([1]))

    def _pooled(self, tokens: str) -> str:
        """See open_clip's `VisionTransformer._pool`; (B, width)."""
        after = self.visual.final_ln_after_pool
        x = tokens if after else self._norm(self.visual.ln_post, tokens)
        axes = self.graph.whole([1])
        one = self._first(x) if self.visual.pool_type == "tok" else self._patches(x)
        pooled = self.graph.add("ReduceMean", one, axes, keepdims=0)
        return self._norm(self.visual.ln_post, pooled) if after else pooled

    def _projected(self, patches: str) -> str:
        """Patch embeddings of a layer, (B, N, D)."""
        normed = self._norm(self.visual.ln_post, patches)
        return self._normalised(self.graph.linear(normed, self.visual.proj.T))

    def _normalised(self, x: str) -> str:
        length = self.graph.add("ReduceL2", x, self.graph.whole([-1]), keepdims=1)
        return self.graph.add("Div", x, self.graph.add("Max", length, self.graph.constant(1e-12)))
