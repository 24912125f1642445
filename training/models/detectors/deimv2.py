"""DEIMv2 of transformers on any backbone: D-FINE's decoder gated, with a matching-aware loss.

Source: Huang et al., Real-Time Object Detection Meets DINOv3 (arXiv 2509.20787). Its adapter of fine detail
beside DINOv3's ViTs is left out: a backbone here has maps of strides 8, 16 and 32 of its own.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from training.models import Preprocessing, Targets, backbone_of
from training.models.backbones import build
from training.models.detectors.base import register_on_backbone
from training.models.detectors.query_detector import PRIOR, QueryDetector, denoising_loss
from training.models.detectors.transformers import CLASS_LAYERS, SMALL, STRIDES, placeholder, queries_of
from training.models.detectors.trunk import Trunk, TrunkEncoder

# The trailing convolutions belong to the published networks on HGNetV2; those on DINOv3 are without.
SIZES: dict[str, dict[str, Any]] = {
    "deimv2": {"encoder_has_trailing_conv": False},
    "deimv2-s": SMALL | {"depth_mult": 0.34, "encoder_has_trailing_conv": False},
}


@register_on_backbone(*SIZES)
class Deimv2Detector(QueryDetector):
    """One `Deimv2ForObjectDetection`; keys are the library's `model.…`, heads tied as D-FINE's are.

    Args:
        name: `deimv2-s+resnet18` …
        classes: names in label order.
        preprocessing: how images become its input; below 128 px there are fewer than 300 queries.
        like: not needed; no hidden layer follows the number of classes.
    """

    backbone_prefix = "model.conv_encoder.model.trunk.body."
    neck_layers = ("model.conv_encoder.", "model.encoder.", "model.decoder_input_proj.")
    class_layers = CLASS_LAYERS

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__(name, classes, preprocessing)
        from transformers import Deimv2Config, Deimv2ForObjectDetection

        trunk = Trunk(build(backbone_of(name)), STRIDES, preprocessing.shape)
        config = Deimv2Config(
            num_labels=len(classes),
            num_queries=queries_of(preprocessing.shape),
            backbone_config=placeholder(),
            initializer_bias_prior_prob=PRIOR,
            **SIZES[name.partition("+")[0]],
        )
        network: Any = Deimv2ForObjectDetection(config)
        encoder = network.model.conv_encoder
        projection = type(encoder.encoder_input_proj[0])
        encoder.model = TrunkEncoder(trunk, _as_backbone)
        encoder.encoder_input_proj = nn.ModuleList(
            projection(config, channels, config.encoder_hidden_dim, 1, 1) for channels in trunk.channels
        )
        self.keep(network)

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts of the last decoder layer, and `denoising`, the sum over all."""
        return denoising_loss(self.output(images, targets), self.model.denoising_class_embed)


def _as_backbone(maps: list[Tensor]) -> SimpleNamespace:
    """Maps as a backbone of the library gives them."""
    return SimpleNamespace(feature_maps=maps)
