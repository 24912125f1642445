"""Mask2Former of transformers on any backbone, for semantic segmentation."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig
from transformers.models.mask2former.modeling_mask2former import Mask2FormerPixelDecoder

from training.models import Part, Stages, Targets, backbone_of, in_float32
from training.models.backbones import build
from training.models.detectors import Trunk, TrunkEncoder
from training.models.segmenters.base import IGNORED, Segmenter, register_on_backbone

STRIDES = (4, 8, 16, 32)
# The paper's is the library's default; the small one serves two CPU cores, and tests.
SIZES: dict[str, dict[str, int]] = {
    "mask2former": {},
    "mask2former-s": {
        "feature_size": 64,
        "mask_feature_size": 64,
        "hidden_dim": 64,
        "encoder_feedforward_dim": 256,
        "dim_feedforward": 256,
        "encoder_layers": 2,
        "decoder_layers": 4,
        "num_attention_heads": 4,
        "num_queries": 20,
        "train_num_points": 2048,
    },
}
ENCODER = "model.pixel_level_module.encoder."
NECK = "model.pixel_level_module."
CLASS_LAYERS = ("class_predictor.", "criterion.")


@register_on_backbone(*SIZES)
class Mask2Former(Segmenter):
    """One `Mask2FormerForUniversalSegmentation`; keys are the library's.

    The background is a class as any other. An image's target is one mask for each class that it shows, as the
    paper has it for semantic segmentation. Pixels that are ignored belong to no mask: the loss samples points
    and knows no such pixels, so they teach "nothing here"; crops hold them only where the image ends.

    Args:
        name: `mask2former+BACKBONE`, or `mask2former-s+BACKBONE` of a quarter of its width.
        classes: names in label order, without the background.
        side: side of its training crops, pixels.
    """

    network: Any
    backbone_prefix = f"{ENCODER}trunk.body."

    def __init__(self, name: str, classes: tuple[str, ...], side: int) -> None:
        super().__init__()
        self.architecture, self.classes, self.side = name, classes, side
        trunk = Trunk(build(backbone_of(name)), STRIDES, (side, side))
        config = Mask2FormerConfig(
            backbone_config=_placeholder(),
            num_labels=len(classes) + 1,
            **SIZES[name.partition("+")[0]],
        )
        network: Any = Mask2FormerForUniversalSegmentation(config)
        decoder: Any = Mask2FormerPixelDecoder(config, feature_channels=trunk.channels)
        decoder.apply(network._init_weights)
        network.model.pixel_level_module.encoder = TrunkEncoder(trunk, _named)
        network.model.pixel_level_module.decoder = decoder
        self.model: Any = network.model
        self.class_predictor: Any = network.class_predictor
        self.criterion: Any = network.criterion
        # Past nn.Module's registry, where its parts are already.
        self.__dict__["network"] = network

    @property
    def trunk(self) -> Trunk:
        """See `Segmenter.trunk`."""
        trunk: Trunk = self.model.pixel_level_module.encoder.trunk
        return trunk

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `PartedModel.forward`; parts `class`, `mask`, `dice`, each summed over the decoder's layers."""
        masks, labels = [], []
        for semantic in targets["semantic"]:
            present = semantic[semantic != IGNORED].unique()
            labels.append(present)
            masks.append((semantic[None] == present[:, None, None]).to(images.dtype))
        terms: dict[str, Tensor] = {}
        names = {"loss_cross_entropy": "class", "loss_mask": "mask", "loss_dice": "dice"}
        for key, value in self._losses(images, masks, labels).items():
            name = next(short for long, short in names.items() if key.startswith(long))
            terms[name] = terms.get(name, images.new_zeros(())) + value
        loss = torch.stack(list(terms.values())).sum()
        return loss, {name: value.detach() for name, value in terms.items()}

    def _losses(self, images: Tensor, masks: list[Tensor], labels: list[Tensor]) -> dict[str, Tensor]:
        """The library's weighted terms of every decoder layer; its own forward gives their sum alone."""
        output = self.network(pixel_values=images, output_auxiliary_logits=True)
        terms: dict[str, Tensor] = in_float32(self.network.get_loss_dict)(
            output.masks_queries_logits, output.class_queries_logits, masks, labels, output.auxiliary_logits
        )
        return terms

    def scores(self, images: Tensor) -> Tensor:
        """See `Segmenter.scores`: each query's class probability times its mask's, summed (Cheng et al.)."""
        output = self.network(pixel_values=images)
        classes = output.class_queries_logits.softmax(dim=-1)[..., :-1]
        masks = functional.interpolate(
            output.masks_queries_logits, size=images.shape[-2:], mode="bilinear", align_corners=False
        )
        return torch.einsum("bqc,bqhw->bchw", classes, masks.sigmoid())

    def part_of(self, key: str) -> Part:
        """By module: the pixel decoder, and a ViT's pyramid, are the neck."""
        if key.startswith(self.backbone_prefix):
            return "backbone"
        if key.startswith(NECK):
            return "neck"
        return "classes" if key.startswith(CLASS_LAYERS) else "head"

    def stages(self, count: int) -> Stages:
        """See `PartedModel.stages`."""
        return self.trunk.stages(count)


def _named(maps: list[Tensor]) -> SimpleNamespace:
    """Maps under the library's name."""
    return SimpleNamespace(feature_maps=maps)


def _placeholder() -> SwinConfig:
    """The smallest backbone that the library builds, to be replaced."""
    return SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
