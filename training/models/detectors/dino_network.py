"""DINO's layers over a backbone's maps, put together of transformers' Deformable DETR.

Source: Zhang et al., DINO: DETR with Improved DeNoising Anchor Boxes for End-to-End Object Detection (arXiv
2203.03605), of which three things are here: mixed query selection (section 3.4), look forward twice (3.5),
and, with the queries that the caller adds, contrastive denoising (3.3).
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import DeformableDetrConfig
from transformers.models.deformable_detr.modeling_deformable_detr import (
    DeformableDetrDecoderLayer,
    DeformableDetrEncoder,
    DeformableDetrMLPPredictionHead,
    DeformableDetrSinePositionEmbedding,
)
from transformers.models.grounding_dino.modeling_grounding_dino import encode_sinusoidal_position_embedding

from training.models.detectors.query_detector import by_xavier

TEMPERATURE = 20  # of the positions in the maps, as published (appendix D.2); those of boxes have 10000
SMALLEST = 0.05  # side of a proposal of the finest map, in shares of the image; doubled map by map
INSIDE = (0.01, 0.99)  # where a proposal's centre and size lie
EPSILON = 1e-5  # of a share's distance to 0 and 1, so that its logit is finite


class Memory(NamedTuple):
    """What the encoder knows of an image.

    Attributes:
        tokens: (B, S, D), a token a place of each map, finest first.
        shapes: height and width of each map.
        sizes: `shapes` as a tensor, (maps, 2) int64.
        starts: where each map's tokens begin, (maps,) int64.
    """

    tokens: Tensor
    shapes: list[tuple[int, int]]
    sizes: Tensor
    starts: Tensor


class Proposals(NamedTuple):
    """The places that look most like objects, best first.

    Attributes:
        logits: (B, queries, classes).
        boxes: (B, queries, 4) centre and size in shares of the image.
    """

    logits: Tensor
    boxes: Tensor


class Decoded(NamedTuple):
    """What each decoder layer says, (layers, B, queries, …): logits of classes, and boxes as `Proposals`'."""

    logits: Tensor
    boxes: Tensor


class DinoNeck(nn.Module):
    """Maps of equal width, one more of half the last one's size, and the deformable encoder over them.

    Args:
        config: sizes of Deformable DETR.
        channels: of the maps that come in, finest first.
    """

    def __init__(self, config: DeformableDetrConfig, channels: Sequence[int]) -> None:
        super().__init__()
        width = config.d_model
        last = nn.Conv2d(channels[-1], width, 3, stride=2, padding=1)
        convolutions: list[Any] = [*(nn.Conv2d(count, width, 1) for count in channels), last]
        self.projections = nn.ModuleList(
            nn.Sequential(conv, nn.GroupNorm(32, width)) for conv in convolutions
        )
        self.level_embed = nn.Parameter(torch.randn(len(convolutions), width))
        self.position = DeformableDetrSinePositionEmbedding(width // 2, TEMPERATURE, normalize=True)
        self.encoder: Any = DeformableDetrEncoder(config)
        for conv in convolutions:
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)
        by_xavier(self.encoder)

    def forward(self, maps: Sequence[Tensor]) -> Memory:
        """The encoder's tokens of maps (B, channels, H, W)."""
        projected = [project(one) for project, one in zip(self.projections, [*maps, maps[-1]], strict=True)]
        shapes = [(one.shape[2], one.shape[3]) for one in projected]
        positions = [
            self.position(one.shape, one.device, torch.float32).flatten(2).transpose(1, 2) + level
            for one, level in zip(projected, self.level_embed, strict=True)
        ]
        tokens = torch.cat([one.flatten(2).transpose(1, 2) for one in projected], 1)
        sizes = torch.tensor(shapes, device=tokens.device)
        starts = torch.cat([sizes.new_zeros(1), sizes.prod(1).cumsum(0)[:-1]])
        encoded = self.encoder(
            inputs_embeds=tokens,
            spatial_position_embeddings=torch.cat(positions, 1),
            spatial_shapes=sizes,
            spatial_shapes_list=shapes,
            level_start_index=starts,
            valid_ratios=tokens.new_ones(tokens.shape[0], len(shapes), 2),  # nothing is padded
        )
        return Memory(encoded.last_hidden_state, shapes, sizes, starts)


class DinoSelection(nn.Module):
    """Mixed query selection: boxes of the best places of the encoder; contents that are learned, not theirs.

    Args:
        width: of a token.
        classes: number of classes.
        queries: how many places are chosen; all, where there are fewer.
        prior: probability of a class at a fresh place.
    """

    def __init__(self, width: int, classes: int, queries: int, prior: float) -> None:
        super().__init__()
        self.queries = queries
        self.project, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        nn.init.xavier_uniform_(self.project.weight)
        self.class_embed, self.box_embed = class_head(width, classes, prior), box_head(width)
        self.content = nn.Embedding(queries, width)

    def forward(self, memory: Memory) -> Proposals:
        """The places with the best class, of all maps."""
        count = min(self.queries, memory.tokens.shape[1])
        boxes = grid_boxes(memory.shapes).to(memory.tokens.device)
        inside = ((boxes > INSIDE[0]) & (boxes < INSIDE[1])).all(-1)
        features = self.norm(self.project(memory.tokens))
        logits = self.class_embed(features)
        best = logits.amax(-1).masked_fill(~inside, -math.inf).topk(count, 1).indices[..., None]
        chosen = features.gather(1, best.expand(-1, -1, features.shape[2]))
        start = boxes.expand(best.shape[0], -1, -1).gather(1, best.expand(-1, -1, 4))
        return Proposals(
            logits.gather(1, best.expand(-1, -1, logits.shape[2])),
            (self.box_embed(chosen) + start.logit(EPSILON)).sigmoid(),
        )


class DinoDecoder(nn.Module):
    """Decoder layers that refine boxes, with heads of their own each.

    Args:
        config: sizes of Deformable DETR.
        classes: number of classes.
        prior: probability of a class at a fresh query.
    """

    def __init__(self, config: DeformableDetrConfig, classes: int, prior: float) -> None:
        super().__init__()
        width, count = config.d_model, config.decoder_layers
        self.layers = nn.ModuleList(DeformableDetrDecoderLayer(config) for _ in range(count))
        by_xavier(self.layers)
        self.norm = nn.LayerNorm(width)
        self.position: Any = DeformableDetrMLPPredictionHead(2 * width, width, width, 2)
        by_xavier(self.position)
        self.class_embed = nn.ModuleList(class_head(width, classes, prior) for _ in range(count))
        self.box_embed = nn.ModuleList(box_head(width) for _ in range(count))

    def forward(self, contents: Tensor, boxes: Tensor, memory: Memory, seen: Tensor | None = None) -> Decoded:
        """Each layer's classes and boxes.

        Look forward twice: a layer starts from boxes without the gradient of the layer before it, but what it
        says is judged by boxes with it, so that its loss reaches that layer's box head too (equation 5).

        Args:
            contents: (B, N, D).
            boxes: (B, N, 4) centre and size in shares of the image, without gradient.
            memory: of the same images.
            seen: (N, N) bool, which queries (columns) each query (row) attends to; None lets all.
        """
        states, updated = contents, boxes
        logits: list[Tensor] = []
        predicted: list[Tensor] = []
        for layer, class_embed, box_embed in zip(self.layers, self.class_embed, self.box_embed, strict=True):
            states = layer(
                states,
                self.position(
                    encode_sinusoidal_position_embedding(boxes, self.norm.normalized_shape[0] // 2)
                ),
                boxes[:, :, None],
                memory.sizes,
                memory.shapes,
                memory.starts,
                memory.tokens,
                attention_mask=seen,
            )
            normed = self.norm(states)
            offsets = box_embed(normed)
            logits.append(class_embed(normed))
            predicted.append((offsets + updated.logit(EPSILON)).sigmoid())
            updated = (offsets + boxes.logit(EPSILON)).sigmoid()
            boxes = updated.detach()
        return Decoded(torch.stack(logits), torch.stack(predicted))


def grid_boxes(shapes: Sequence[tuple[int, int]]) -> Tensor:
    """(places, 4): a box around each place of each map, centre and size in shares of the image."""
    boxes = []
    for level, (height, width) in enumerate(shapes):
        y, x = torch.meshgrid(
            (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij"
        )
        side = torch.full_like(x, SMALLEST * 2**level)
        boxes.append(torch.stack([x, y, side, side], -1).flatten(0, 1))
    return torch.cat(boxes)


def class_head(width: int, classes: int, prior: float) -> nn.Linear:
    """A linear layer whose fresh probability of every class is near the prior."""
    head = nn.Linear(width, classes)
    nn.init.constant_(head.bias, -math.log((1 - prior) / prior))
    return head


def box_head(width: int) -> nn.Module:
    """Three layers whose fresh answer is no offset."""
    head: Any = DeformableDetrMLPPredictionHead(width, width, 4, 3)
    nn.init.zeros_(head.layers[-1].weight)
    nn.init.zeros_(head.layers[-1].bias)
    whole: nn.Module = head
    return whole
