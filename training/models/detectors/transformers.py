"""RT-DETRv2 and D-FINE of transformers on any backbone: the DETR family with contrastive denoising.

They stand for DINO (Zhang et al. 2022), which transformers has only as the text-prompted Grounding DINO: they
share its contrastive denoising and two-stage query selection, and have a hybrid encoder in the place of its
deformable one.
"""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.models import Part, Preprocessing, Stages, Targets, backbone_of
from training.models.backbones import build
from training.models.detectors.base import Detector, register_on_backbone
from training.models.detectors.trunk import Trunk, TrunkEncoder

# Its models' checks of their own shapes become operators that ONNX lacks.
os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")

STRIDES = (8, 16, 32)
QUERIES = 300
PRIOR = 0.01  # probability of a class at a fresh query; the library's 1 / (classes + 1) floods one class
# Sizes as in the papers' published configs: half the width of the encoder's blocks, half the decoder.
SMALL = {"hidden_expansion": 0.5, "decoder_layers": 3}
# The library's classes begin with the word. Imported only for such a detector: it takes a second.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "rt-detr-v2": ("RTDetrV2", {}),
    "rt-detr-v2-s": ("RTDetrV2", SMALL),
    "d-fine": ("DFine", {}),
    "d-fine-s": ("DFine", SMALL | {"depth_mult": 0.34}),
}
NECK = ("model.encoder_input_proj.", "model.encoder.")
CLASS_LAYERS = ("model.denoising_class_embed.", "model.enc_score_head.", "model.decoder.class_embed.")


@register_on_backbone(*FAMILIES)
class TransformersDetector(Detector):
    """One `RTDetrV2ForObjectDetection` or `DFineForObjectDetection`; keys are the library's `model.…`.

    Its heads outside of `model` are the decoder's own (the library ties them), so they are not kept twice.

    Args:
        name: `d-fine-s+resnet18` …
        classes: names in label order.
        preprocessing: how images become its input; below 128 px there are fewer than 300 queries.
        like: not needed; no hidden layer follows the number of classes.
    """

    network: Any
    ranks = True
    nms_iou = None
    backbone_prefix = "model.backbone.trunk.body."

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.architecture, self.classes, self.preprocessing = name, classes, preprocessing
        import transformers

        word, settings = FAMILIES[name.partition("+")[0]]
        trunk = Trunk(build(backbone_of(name)), STRIDES, preprocessing.shape)
        height, width = preprocessing.shape
        config = getattr(transformers, f"{word}Config")(
            num_labels=len(classes),
            num_queries=min(QUERIES, sum((height // stride) * (width // stride) for stride in STRIDES)),
            backbone_config=_placeholder(),
            initializer_bias_prior_prob=PRIOR,
            **settings,
        )
        network: Any = getattr(transformers, f"{word}ForObjectDetection")(config)
        network.model.backbone = TrunkEncoder(trunk, _unmasked)
        network.model.encoder_input_proj = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, config.encoder_hidden_dim, 1, bias=False),
                nn.BatchNorm2d(config.encoder_hidden_dim),
            )
            for channels in trunk.channels
        )
        self.model: Any = network.model
        # Past nn.Module's registry: what it holds besides `model` is tied to parts of that.
        self.__dict__["network"] = network

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts of the last decoder layer, and `denoising`, the sum over all."""
        self.network.training = self.training  # it decides on denoising queries
        counts = targets["image"].bincount(minlength=len(images)).tolist()
        height, width = images.shape[-2:]
        boxes = targets["boxes"] / targets["boxes"].new_tensor([width, height, width, height])
        relative = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)
        truth = zip(torch.split(targets["labels"], counts), torch.split(relative, counts), strict=True)
        output = self.network(images, labels=[{"class_labels": c, "boxes": b} for c, b in truth])
        terms: dict[str, Tensor] = output.loss_dict
        parts = {
            key.removeprefix("loss_"): value
            for key, value in terms.items()
            if "_aux_" not in key and "_dn_" not in key
        }
        parts["denoising"] = output.loss.new_zeros(()) + sum(v for key, v in terms.items() if "_dn_" in key)
        # A batch without boxes has no denoising queries; DDP wants every parameter in the graph.
        loss = output.loss + 0 * self.model.denoising_class_embed.weight.sum()
        return loss, {name: value.detach() for name, value in parts.items()}

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`: the queries of the last decoder layer."""
        self.network.training = False
        output = self.network(images)
        height, width = images.shape[-2:]
        centres, sizes = output.pred_boxes[..., :2], output.pred_boxes[..., 2:]
        corners = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)
        scale = corners.new_tensor([width, height, width, height])
        return (corners * scale)[:, :, None], output.logits.sigmoid()

    def part_of(self, key: str) -> Part:
        """By module; the hybrid encoder is the neck."""
        if key.startswith("model.backbone."):
            return "backbone"
        if key.startswith(NECK):
            return "neck"
        return "classes" if key.startswith(CLASS_LAYERS) else "head"

    def stages(self, count: int) -> Stages:
        """See `Detector.stages`."""
        stages: Stages = self.model.backbone.trunk.stages(count)
        return stages

    def backbone_layers(self) -> list[list[nn.Parameter]]:
        """See `PartedModel.backbone_layers`."""
        layers: list[list[nn.Parameter]] = self.model.backbone.trunk.backbone.layers()
        return layers


def _unmasked(maps: list[Tensor]) -> list[tuple[Tensor, None]]:
    """Maps, each without a mask of padding."""
    return [(one, None) for one in maps]


def _placeholder() -> Any:
    """The smallest backbone that the library builds, to be replaced."""
    from transformers import RTDetrResNetConfig

    return RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
