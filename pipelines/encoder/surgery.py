"""CLIP Surgery: patch embeddings from V-V attention, beside the untouched image path of an open_clip ViT."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from cluster.errors import UserError


@dataclass(frozen=True)
class DenseEmbeddings:
    """The embeddings of one batch of images.

    Attributes:
        cls: (B, D), L2-normalised; the image embedding of the untouched path.
        patches: one (B, N, D) tensor per chosen layer, L2-normalised, N = grid² in row order (WinCLIP: per
            scale, N windows).
    """

    cls: Tensor
    patches: list[Tensor]


def default_layers(depth: int) -> tuple[int, ...]:
    """The layers read at a ViT of `depth` blocks, counted from 1: n/4, n/2, 3n/4, n (docs/method.md#kead).

    Halves are rounded up; equal layers of a very shallow model are merged.
    """
    return tuple(sorted({max(1, (depth * quarter + 2) // 4) for quarter in (1, 2, 3, 4)}))


class DenseEncoder(nn.Module):
    """Image and patch embeddings of one ViT tower, which it shares and never changes.

    V-V attention (docs/method.md#v-v-attention; CLIP Surgery): `vv(x) = out_proj(softmax(V Vᵀ/√d) V)` per
    head, V from the block's own `in_proj` of `ln_1(x)`. From the first surgery block on, `y = x + vv(x)`,
    then `y ← y + vv(x)` with x the normal path's input to each block. Patch embedding: `proj(ln_post(y))`.

    Args:
        visual: open_clip's image tower; pooled by class token or average.
        layers: blocks read, counted from 1; default `default_layers`.
        vv: whether to read the V-V stream; False reads the normal path's block outputs.
        residual: whether to add the residual; False reads only `vv(x)` of each block.
        released_layers: whether every layer from the first surgery block on is the final y, as in the
            authors' released code, which adds to it in place. Without the residual there is a new y at
            each block, there too, so every layer keeps its own.

    Raises:
        UserError: not such a ViT, or a layer that the model does not have.
    """

    def __init__(
        self,
        visual: nn.Module,
        *,
        layers: tuple[int, ...] | None = None,
        vv: bool = True,
        residual: bool = True,
        released_layers: bool = False,
    ) -> None:
        super().__init__()
        self.visual = require_dense_vit(visual)
        self.depth = len(self.visual.transformer.resblocks)
        self.layers = default_layers(self.depth) if layers is None else layers
        if not self.layers or any(not 1 <= layer <= self.depth for layer in self.layers):
            raise UserError(f"Layers {self.layers} must name blocks from 1 to {self.depth} of this encoder.")
        self.first_surgery = self.depth // 4 + 1  # the last 3/4 of the blocks, counted from 1
        # Without V-V, or the sum over blocks, there is no y that the released code overwrites.
        self.vv, self.residual, self.released_layers = vv, residual, released_layers and vv and residual

    @property
    def grid(self) -> int:
        """Patches along one side of the image."""
        return int(self.visual.grid_size[0])

    def forward(self, images: Tensor) -> DenseEmbeddings:
        """Embed a batch.

        Args:
            images: (B, 3, S, S) float, normalised by the encoder's mean and standard deviation.
        """
        visual = self.visual
        read = {self.source_of(layer) for layer in self.layers}
        outputs: dict[int, Tensor] = {}
        with exact(images):
            x = y = visual._embeds(images)
        for layer, block in enumerate(visual.transformer.resblocks, start=1):
            with exact(images) if layer == 1 else nullcontext():
                x, y = self._through(block, layer, x, y)
            if layer in read:
                outputs[layer] = y if self.is_operated(layer) else x
        pooled, _ = visual._pool(x)
        chosen = [outputs[self.source_of(layer)] for layer in self.layers]
        with exact(images):
            patches = [F.normalize(visual.ln_post(tokens[:, 1:]) @ visual.proj, dim=-1) for tokens in chosen]
        return DenseEmbeddings(cls=F.normalize(pooled @ visual.proj, dim=-1), patches=patches)

    def _through(
        self, block: ResidualAttentionBlock, layer: int, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The normal path's x and the V-V stream y after a block; y is nothing before the first surgery."""
        normed, attention = block.ln_1(x), block.attn
        surgery = self.is_operated(layer)
        if surgery and layer == self.depth and self.visual.pool_type == "tok":
            # Only the class token of the last block's normal path is read.
            value = project(attention, normed, "v")[0]
            block_input, mixed = x[:, :1], class_attention(attention, normed, value)
        else:
            query, key, value = project(attention, normed)
            block_input, mixed = x, attend(attention, query, key, value)
        if surgery:
            attended = block.ls_1(attend(attention, value, value, value))
            before = x if layer == self.first_surgery else y
            y = before + attended if self.residual else attended
        x = block_input + block.ls_1(mixed)
        return x + block.ls_2(feed_forward(block.mlp, block.ln_2(x))), y

    def is_operated(self, layer: int) -> bool:
        """Whether a block has V-V attention beside its own."""
        return self.vv and layer >= self.first_surgery

    def source_of(self, layer: int) -> int:
        """The block whose output is read for a layer."""
        return self.depth if self.released_layers and layer >= self.first_surgery else layer


def exact(images: Tensor) -> torch.autocast:
    """No autocast within the block.

    Patch embedding and first block rounded to bf16 would move a map by 0.03 (seen with surface-clip); what
    follows is added to a float32 stream, and its rounding moves a map by 0.006.
    """
    return torch.autocast(images.device.type, enabled=False)


def project(attention: nn.MultiheadAttention, x: Tensor, parts: str = "qkv") -> list[Tensor]:
    """Query, key and value of a block, (B, heads, L, width/heads) each.

    Args:
        attention: batch-first multi-head attention with one packed `in_proj`.
        x: (B, L, width), already through `ln_1`.
        parts: neighbours of `qkv` that are wanted.
    """
    weight, bias = packed_rows(attention, parts)
    packed = F.linear(x, weight, bias).chunk(len(parts), -1)
    return [part.view(*x.shape[:2], attention.num_heads, -1).transpose(1, 2) for part in packed]


def packed_rows(attention: nn.MultiheadAttention, parts: str) -> tuple[Tensor, Tensor]:
    """The rows of `in_proj`'s weight and bias that make neighbours of `qkv`."""
    width, first = attention.embed_dim, "qkv".index(parts)
    rows = slice(first * width, (first + len(parts)) * width)
    return attention.in_proj_weight[rows], attention.in_proj_bias[rows]


def class_attention(attention: nn.MultiheadAttention, x: Tensor, value: Tensor) -> Tensor:
    """What `attend` gives the first token, without the keys of the others: `q·(W_k x) = (q W_k)·x`.

    The keys' bias adds the same to every score of a query; the softmax cancels it.

    Args:
        attention: the block's attention.
        x: (B, L, width), already through `ln_1`.
        value: values of all tokens, from `project`.

    Returns:
        (B, 1, width).
    """
    heads, width = attention.num_heads, attention.embed_dim
    query = project(attention, x[:, :1], "q")[0]
    keys = packed_rows(attention, "k")[0].view(heads, width // heads, width)
    # One row a head; the library's product would copy x for every head first.
    scores = (query @ keys).squeeze(2) @ x.transpose(1, 2) * (width // heads) ** -0.5
    return joined(attention, scores.softmax(-1)[:, :, None] @ value)


def attend(attention: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`out_proj(softmax(Q Kᵀ/√d) V)` per head; with V for all three it is V-V attention, `vv(x)`.

    Args:
        attention: the block's attention, for its output projection.
        query, key, value: (B, heads, L, width/heads); the query may have fewer tokens.

    Returns:
        (B, L of the query, width).
    """
    return joined(attention, F.scaled_dot_product_attention(query, key, value))


def feed_forward(mlp: nn.Sequential, x: Tensor) -> Tensor:
    """`mlp(x)`; without gradients its GELU overwrites the block's widest tensor.

    A new tensor's memory pages cost as much as the activation itself: 2 % of KeAD's time on a CPU.
    """
    widen, activation, narrow = mlp
    hidden: Tensor = widen(x)
    if torch.is_grad_enabled() or not isinstance(activation, nn.GELU):
        hidden = activation(hidden)
    else:
        torch.ops.aten.gelu_(hidden, approximate=activation.approximate)
    result: Tensor = narrow(hidden)
    return result


def joined(attention: nn.MultiheadAttention, mixed: Tensor) -> Tensor:
    """The heads side by side, through the output projection: (B, L, width) of (B, heads, L, width/heads)."""
    return F.linear(mixed.transpose(1, 2).flatten(2), attention.out_proj.weight, attention.out_proj.bias)


def require_dense_vit(visual: Any) -> VisionTransformer:
    """The tower itself, if its patches have an embedding in the text space.

    Raises:
        UserError: not a ViT of plain residual blocks, an attention pooler, no pooling, or not square.
    """
    remedy = "choose a ViT pooled by class token or average, e.g. ViT-B-16-plus-240."
    if not isinstance(visual, VisionTransformer):
        raise UserError(
            f"The encoder's image tower is a {type(visual).__name__}, not open_clip's ViT; {remedy}"
        )
    if visual.attn_pool is not None or visual.pool_type not in ("tok", "avg"):
        raise UserError(f"The encoder pools patches by attention, so they have no embedding; {remedy}")
    if not all(isinstance(block, ResidualAttentionBlock) for block in visual.transformer.resblocks):
        raise UserError(f"The encoder's blocks are not plain residual attention blocks; {remedy}")
    if visual.grid_size[0] != visual.grid_size[1] or visual.image_size[0] != visual.image_size[1]:
        raise UserError(f"The encoder's input of {visual.image_size} is not square; {remedy}")
    return visual
