"""Outputs of an image tower's blocks, as they are: what trained heads read."""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor

from cluster.errors import UserError
from pipelines.encoder.surgery import default_layers, exact


@dataclass(frozen=True)
class BlockOutputs:
    """One batch's tokens.

    Attributes:
        cls: (B, D), L2-normalised; the image's embedding.
        patches: (B, N, width) of each chosen block, N = grid² in row order, as the block gives them.
    """

    cls: Tensor
    patches: list[Tensor]


def chosen_blocks(visual: VisionTransformer, layers: tuple[int, ...] | None) -> tuple[int, ...]:
    """The blocks that are read, from 1; by depth where none are named, as `default_layers`.

    Raises:
        UserError: a block that the tower does not have.
    """
    depth = len(visual.transformer.resblocks)
    chosen = default_layers(depth) if layers is None else layers
    if any(not 1 <= layer <= depth for layer in chosen):
        raise UserError(f"Layers {chosen} must name blocks from 1 to {depth} of this encoder.")
    return tuple(sorted(set(chosen)))


def block_outputs(visual: Any, images: Tensor, layers: tuple[int, ...]) -> BlockOutputs:
    """The patch tokens after each chosen block, and the image's embedding.

    Args:
        visual: result of `require_dense_vit`.
        images: (B, 3, S, S) float, normalised by the encoder's mean and standard deviation.
        layers: blocks, from 1, rising.
    """
    with exact(images):
        tokens = visual._embeds(images)
    patches = []
    for layer, block in enumerate(visual.transformer.resblocks, start=1):
        tokens = block(tokens)
        if layer in layers:
            patches.append(tokens[:, 1:])
    pooled, _ = visual._pool(tokens)
    return BlockOutputs(cls=F.normalize(pooled @ visual.proj, dim=-1), patches=patches)
