"""DINO on any backbone: two-stage Deformable DETR with contrastive denoising.

Source: Zhang et al., DINO: DETR with Improved DeNoising Anchor Boxes for End-to-End Object Detection (arXiv
2203.03605), its four-scale form: maps of strides 8, 16 and 32 and one of stride 64. Transformers has it only
as Grounding DINO, which is driven by text; here it is put together of that library's Deformable DETR and of
RT-DETR's denoising queries. The heads of the decoder layers are their own, where the authors' published
configurations share one among all.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from training.models import Preprocessing, Targets, backbone_of
from training.models.backbones import build
from training.models.detectors.base import register_on_backbone
from training.models.detectors.query_detector import PRIOR, QueryDetector, denoising_loss
from training.models.detectors.trunk import Trunk

STRIDES = (8, 16, 32)
# As published; the small one is for CPUs. `denoising` is the number of positives that groups share out.
SIZES: dict[str, dict[str, int]] = {
    "dino": {"width": 256, "layers": 6, "hidden": 2048, "queries": 900, "denoising": 100},
    "dino-s": {"width": 128, "layers": 3, "hidden": 512, "queries": 300, "denoising": 100},
}
LABEL_NOISE, BOX_NOISE = 0.5, 1.0  # as published: share of flipped labels; λ2 is twice λ1, of half a side


@register_on_backbone(*SIZES)
class DinoDetector(QueryDetector):
    """One `DinoNetwork`, in keys of its own (`model.decoder.…`); the backbone's are its library's.

    Args:
        name: `dino-s+resnet18` …
        classes: names in label order.
        preprocessing: how images become its input; where its maps have fewer places than there are queries,
            each place is one.
        like: not needed; no hidden layer follows the number of classes.
    """

    backbone_prefix = "model.trunk.body."
    neck_layers = ("model.trunk.", "model.neck.")
    class_layers = ("model.label_embed.", "model.selection.class_embed.", "model.decoder.class_embed.")

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__(name, classes, preprocessing)
        trunk = Trunk(build(backbone_of(name)), STRIDES, preprocessing.shape)
        size = SIZES[name.partition("+")[0]]
        self.model = DinoNetwork(trunk, len(classes), size)
        self.__dict__["network"] = self.model

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts of the last decoder layer, and `denoising`, the sum over all."""
        return denoising_loss(self.output(images, targets), self.model.label_embed)


class DinoNetwork(nn.Module):
    """Backbone, encoder, selected queries and decoder.

    Args:
        trunk: with maps of strides 8, 16 and 32.
        classes: number of classes.
        size: see `SIZES`.
    """

    def __init__(self, trunk: Trunk, classes: int, size: Mapping[str, int]) -> None:
        super().__init__()
        from transformers import DeformableDetrConfig

        from training.models.detectors.dino_network import DinoDecoder, DinoNeck, DinoSelection

        config = DeformableDetrConfig(
            d_model=size["width"],
            encoder_layers=size["layers"],
            decoder_layers=size["layers"],
            encoder_ffn_dim=size["hidden"],
            decoder_ffn_dim=size["hidden"],
            num_feature_levels=len(STRIDES) + 1,
            dropout=0.0,
            attn_implementation="sdpa",
        )
        self.classes, self.denoising = classes, size["denoising"]
        self.trunk = trunk
        self.neck = DinoNeck(config, trunk.channels)
        self.selection = DinoSelection(size["width"], classes, size["queries"], PRIOR)
        self.label_embed = nn.Embedding(classes + 1, size["width"], padding_idx=classes)
        self.decoder = DinoDecoder(config, classes, PRIOR)

    def forward(self, images: Tensor, labels: Sequence[Mapping[str, Tensor]] | None = None) -> Any:
        """`logits` and `pred_boxes` of the last layer; with labels also `loss` and its terms, `loss_dict`.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].
            labels: `class_labels` and `boxes` (centre and size in shares) of each image.
        """
        memory = self.neck(self.trunk(images))
        proposals = self.selection(memory)
        boxes = proposals.boxes.detach()
        contents = self.selection.content.weight[: boxes.shape[1]].expand(images.shape[0], -1, -1)
        if labels is None:
            decoded = self.decoder(contents, boxes, memory)
            return SimpleNamespace(logits=decoded.logits[-1], pred_boxes=decoded.boxes[-1])
        from training.models.detectors.dino_loss import dino_loss

        added, seen, denoising = self.noised(labels, boxes.shape[1]) if self.training else (None, None, None)
        if added is not None:
            contents = torch.cat([added[0], contents], 1)
            boxes = torch.cat([added[1].sigmoid(), boxes], 1)
        decoded = self.decoder(contents, boxes, memory, seen)
        terms = dino_loss(decoded, proposals, labels, denoising)
        return SimpleNamespace(
            logits=decoded.logits[-1],
            pred_boxes=decoded.boxes[-1],
            loss=torch.stack(list(terms.values())).sum(),
            loss_dict=terms,
        )

    def noised(
        self, labels: Sequence[Mapping[str, Tensor]], queries: int
    ) -> tuple[tuple[Tensor, Tensor] | None, Tensor | None, dict[str, Any] | None]:
        """Contrastive denoising queries: groups of all true boxes moved a little, and moved too far.

        A positive's corners are moved by less than half a side, a negative's by half to a whole one; the
        first learn to be the true box, the second to be none. `denoising` positives are shared out among the
        groups.

        Args:
            labels: see `forward`.
            queries: number of queries that come after them.

        Returns:
            Contents (B, M, D) and logits of boxes (B, M, 4); which queries (columns) each of the M + queries
            (rows) sees, bool; what the library says of them. All None where no image has a box.
        """
        from transformers.models.rt_detr_v2.modeling_rt_detr_v2 import (
            get_contrastive_denoising_training_group,
        )

        contents, boxes, mask, denoising = get_contrastive_denoising_training_group(
            labels,
            self.classes,
            queries,
            self.label_embed,
            self.denoising,
            LABEL_NOISE,
            BOX_NOISE,
        )
        if denoising is None:
            return None, None, None
        return (contents, boxes), mask == 0, denoising
