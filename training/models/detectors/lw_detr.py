"""LW-DETR of transformers: a ViT of windows and a shallow decoder, whole as published or on any backbone.

Source: Chen et al., LW-DETR: A Transformer Replacement to YOLO for Real-Time Detection (arXiv 2406.03459).
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from training.models import LW_DETR, Preprocessing
from training.models.detectors.base import register, register_on_backbone
from training.models.detectors.group_detr import STRIDE, GroupDetr, check_sides

WINDOWS = 4  # along a side of the ViT's grid
SHALLOW = {"num_hidden_layers": 6, "window_block_indices": [0, 2, 4], "out_indices": [2, 4, 6]}
DEEP = {"num_hidden_layers": 10, "window_block_indices": [0, 1, 3, 6, 7, 9], "out_indices": [3, 5, 6, 10]}
NARROW: dict[str, Any] = {"projector_scale_factors": [1.0], "decoder_n_points": 2}
WIDE: dict[str, Any] = {
    "projector_scale_factors": [2.0, 0.5],
    "decoder_n_points": 4,
    "d_model": 384,
    "decoder_self_attention_heads": 12,
    "decoder_cross_attention_heads": 24,
}
# The published sizes: ViT, width of the ViT, decoder, queries. `out_indices` count blocks from 1; the
# library's own default counts from 0 and so leaves the last block out.
SIZES: dict[str, tuple[dict[str, Any], int, dict[str, Any], int]] = {
    "lw-detr-tiny": (SHALLOW, 192, NARROW, 100),
    "lw-detr-small": (DEEP, 192, NARROW, 300),
    "lw-detr-medium": (DEEP, 384, NARROW, 300),
    "lw-detr-large": (DEEP, 384, WIDE, 300),
    "lw-detr-xlarge": (DEEP, 768, WIDE, 300),
}
# How published files spell attention of the ViT.
RENAMED = (
    ("attention.attention.query", "attention.q_proj"),
    ("attention.attention.key", "attention.k_proj"),
    ("attention.attention.value", "attention.v_proj"),
    ("attention.output.", "attention.o_proj."),
)


@register(*LW_DETR)
@register_on_backbone("lw-detr")
class LwDetrDetector(GroupDetr):
    """One `LwDetrForObjectDetection`.

    Args:
        name: `lw-detr-tiny` …, or `lw-detr+resnet18`, whose maps are joined at stride 16.
        classes: names in label order.
        preprocessing: how images become its input; the published ones take sides of multiples of 64 px.
        like: not needed; no hidden layer follows the number of classes.
    """

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__(name, classes, preprocessing)
        from transformers import LwDetrConfig, LwDetrForObjectDetection, LwDetrViTConfig

        blocks, width, decoder, most = SIZES.get(name, SIZES["lw-detr-small"])
        trunk = None
        if self.own:
            check_sides(name, preprocessing.shape, STRIDE * WINDOWS)
        else:
            trunk = self.joined()
            # A stand-in of one block, as wide as the joined map, by which the projector is laid out.
            blocks = {"num_hidden_layers": 1, "mlp_ratio": 1, "out_indices": [1]}
            width = sum(trunk.channels)
        height, wide = (side // STRIDE for side in preprocessing.shape)
        scales = decoder["projector_scale_factors"]
        config = LwDetrConfig(
            num_labels=len(classes),
            num_queries=min(most, sum(round(height * scale) * round(wide * scale) for scale in scales)),
            backbone_config=LwDetrViTConfig(
                image_size=1024,
                hidden_size=width,
                num_attention_heads=12 if self.own else 1,
                num_windows=WINDOWS**2,
                **blocks,
            ),
            **decoder,
        )
        self.finish(LwDetrForObjectDetection(config), trunk)

    def own_key(self, key: str) -> str:
        """See `GroupDetr.own_key`."""
        for former, present in RENAMED:
            key = key.replace(former, present)
        return key
