"""RT-DETRv2 and D-FINE of transformers on any backbone: the DETR family with contrastive denoising.

They share DINO's contrastive denoising and two-stage query selection (see `dino.py`), and have a hybrid
encoder in the place of its deformable one.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from training.models import Preprocessing, Targets, backbone_of
from training.models.backbones import build
from training.models.detectors.base import register_on_backbone
from training.models.detectors.query_detector import PRIOR, QueryDetector, denoising_loss
from training.models.detectors.trunk import Trunk, TrunkEncoder

STRIDES = (8, 16, 32)
QUERIES = 300
# Sizes as in the papers' published configs: half the width of the encoder's blocks, half the decoder.
SMALL = {"hidden_expansion": 0.5, "decoder_layers": 3}
# The library's classes begin with the word. Imported only for such a detector: it takes a second.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "rt-detr-v2": ("RTDetrV2", {}),
    "rt-detr-v2-s": ("RTDetrV2", SMALL),
    "d-fine": ("DFine", {}),
    "d-fine-s": ("DFine", SMALL | {"depth_mult": 0.34}),
}
CLASS_LAYERS = ("model.denoising_class_embed.", "model.enc_score_head.", "model.decoder.class_embed.")


@register_on_backbone(*FAMILIES)
class TransformersDetector(QueryDetector):
    """One `RTDetrV2ForObjectDetection` or `DFineForObjectDetection`; keys are the library's `model.…`.

    Its heads outside of `model` are the decoder's own (the library ties them), so they are not kept twice.

    Args:
        name: `d-fine-s+resnet18` …
        classes: names in label order.
        preprocessing: how images become its input; below 128 px there are fewer than 300 queries.
        like: not needed; no hidden layer follows the number of classes.
    """

    backbone_prefix = "model.backbone.trunk.body."
    neck_layers = ("model.backbone.", "model.encoder_input_proj.", "model.encoder.")
    class_layers = CLASS_LAYERS

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__(name, classes, preprocessing)
        import transformers

        word, settings = FAMILIES[name.partition("+")[0]]
        trunk = Trunk(build(backbone_of(name)), STRIDES, preprocessing.shape)
        config = getattr(transformers, f"{word}Config")(
            num_labels=len(classes),
            num_queries=queries_of(preprocessing.shape),
            backbone_config=placeholder(),
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
        self.keep(network)

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts of the last decoder layer, and `denoising`, the sum over all."""
        return denoising_loss(self.output(images, targets), self.model.denoising_class_embed)


def queries_of(shape: tuple[int, int]) -> int:
    """Queries of an input of so many pixels high and wide: one a place where there are fewer than 300."""
    height, width = shape
    return min(QUERIES, sum((height // stride) * (width // stride) for stride in STRIDES))


def _unmasked(maps: list[Tensor]) -> list[tuple[Tensor, None]]:
    """Maps, each without a mask of padding."""
    return [(one, None) for one in maps]


def placeholder() -> Any:
    """The smallest backbone that the library builds, to be replaced."""
    from transformers import RTDetrResNetConfig

    return RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
