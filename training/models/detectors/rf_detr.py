"""RF-DETR of transformers: DINOv2's ViT in windows under LW-DETR's decoder, as published or on any backbone.

Source: Robinson et al., RF-DETR: Neural Architecture Search for Real-Time Detection Transformers (arXiv
2511.09554).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from training.models import RF_DETR, Preprocessing
from training.models.detectors.base import register, register_on_backbone
from training.models.detectors.group_detr import STRIDE, GroupDetr, check_sides

QUERIES = 300


class Size(NamedTuple):
    """A published size.

    Attributes:
        patch: pixels of a patch's side.
        windows: windows along a side.
        read: blocks that the projector reads, from 1.
        layers: layers of the decoder.
        side: pixels of the input that its position embeddings are of.
    """

    patch: int
    windows: int
    read: tuple[int, ...]
    layers: int
    side: int


SIZES = {
    "rf-detr-nano": Size(16, 2, (3, 6, 9, 12), 2, 384),
    "rf-detr-small": Size(16, 2, (3, 6, 9, 12), 3, 512),
    "rf-detr-medium": Size(16, 2, (3, 6, 9, 12), 4, 576),
    "rf-detr-base": Size(14, 4, (2, 5, 8, 11), 3, 518),
}


@register(*RF_DETR)
@register_on_backbone("rf-detr")
class RfDetrDetector(GroupDetr):
    """One `RfDetrForObjectDetection`.

    Args:
        name: `rf-detr-nano` …, or `rf-detr+resnet18`, whose maps are joined at stride 16.
        classes: names in label order.
        preprocessing: how images become its input; `rf-detr-base` takes sides of multiples of 56 px, of which
            those of 224 px are multiples of 32 too.
        like: not needed; no hidden layer follows the number of classes.
    """

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__(name, classes, preprocessing)
        from transformers import RfDetrConfig, RfDetrDinov2Config, RfDetrForObjectDetection

        size = SIZES.get(name, SIZES["rf-detr-small"])
        trunk = None
        if self.own:
            check_sides(name, preprocessing.shape, size.patch * size.windows)
            vit: dict[str, Any] = {
                "hidden_size": 384,
                "num_attention_heads": 6,
                # The last blocks of the base size are read by nothing.
                "num_hidden_layers": 12,
                "out_indices": list(size.read),
            }
        else:
            trunk = self.joined()
            # A stand-in of one block, as wide as the joined map, by which the projector is laid out.
            vit = {
                "hidden_size": sum(trunk.channels),
                "num_attention_heads": 1,
                "num_hidden_layers": 1,
                "mlp_ratio": 1,
                "out_indices": [1],
            }
        patch = size.patch if self.own else STRIDE
        height, width = (side // patch for side in preprocessing.shape)
        config = RfDetrConfig(
            num_labels=len(classes),
            num_queries=min(QUERIES, height * width),
            backbone_config=RfDetrDinov2Config(
                image_size=size.side,
                patch_size=patch,
                num_windows=size.windows,
                use_mask_token=False,
                **vit,
            ),
            decoder_layers=size.layers,
            decoder_n_points=2,
            dropout=0.0,
        )
        network = RfDetrForObjectDetection(config)
        if self.own:
            for block in network.model.backbone.backbone.encoder.layer[size.read[-1] :]:
                block.requires_grad_(False)  # never reached
        self.finish(network, trunk)
