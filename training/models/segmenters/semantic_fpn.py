"""Semantic FPN on any backbone: torchvision's feature pyramid, its levels summed at stride 4."""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation, FeaturePyramidNetwork

from training.models import Part, Stages, Targets, backbone_of
from training.models.backbones import build
from training.models.detectors import Trunk
from training.models.segmenters.base import IGNORED, Segmenter, register_on_backbone

STRIDES = (4, 8, 16, 32)
PYRAMID, HEAD = 128, 64  # channels; half of the paper's, as for the small Mask2Former
GROUPS = 16
GROUP_NORM = partial(nn.GroupNorm, GROUPS)  # statistics of one crop: batches are small


@register_on_backbone("semantic-fpn")
class SemanticFpn(Segmenter):
    """Each pyramid level through 3×3 convolutions and doublings up to stride 4, summed, one 1×1 layer.

    Kirillov et al., "Panoptic Feature Pyramid Networks", section 3.1 and figure 3, at half the width. It
    learns from every pixel by cross-entropy, so that some hundred iterations on a CPU show a difference
    where Mask2Former, which must first learn whom to match, still says "background".

    Args:
        name: `semantic-fpn+BACKBONE`.
        classes: names in label order, without the background.
        side: side of its training crops, pixels.
    """

    backbone_prefix = "encoder.body."

    def __init__(self, name: str, classes: tuple[str, ...], side: int) -> None:
        super().__init__()
        self.architecture, self.classes, self.side = name, classes, side
        self.encoder = Trunk(build(backbone_of(name)), STRIDES, (side, side))
        self.neck = FeaturePyramidNetwork(self.encoder.channels, PYRAMID, norm_layer=GROUP_NORM)
        self.head = nn.ModuleList(_upward(level) for level in range(len(STRIDES)))
        self.predictor = nn.Conv2d(HEAD, len(classes) + 1, 1)

    @property
    def trunk(self) -> Trunk:
        """See `Segmenter.trunk`."""
        return self.encoder

    def logits(self, images: Tensor) -> Tensor:
        """(B, 1 + classes, H, W) of (B, 3, H, W) in [0, 1]."""
        maps = self.neck(OrderedDict((str(level), x) for level, x in enumerate(self.encoder(images))))
        summed = sum(branch(x) for branch, x in zip(self.head, maps.values(), strict=True))
        return functional.interpolate(
            self.predictor(summed), size=images.shape[-2:], mode="bilinear", align_corners=False
        )

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `PartedModel.forward`; the mean cross-entropy of all pixels that count."""
        semantic = targets["semantic"]
        logits = self.logits(images).float()
        total = functional.cross_entropy(logits, semantic, ignore_index=IGNORED, reduction="sum")
        loss = total / (semantic != IGNORED).sum().clamp(min=1)
        return loss, {"pixels": loss.detach()}

    def scores(self, images: Tensor) -> Tensor:
        """See `Segmenter.scores`."""
        return self.logits(images).softmax(dim=1)

    def part_of(self, key: str) -> Part:
        """By module; of the encoder all but the backbone, a ViT's pyramid, is the neck's."""
        if key.startswith(self.backbone_prefix):
            return "backbone"
        module = key.partition(".")[0]
        parts: dict[str, Part] = {"encoder": "neck", "neck": "neck", "head": "head"}
        return parts.get(module, "classes")

    def stages(self, count: int) -> Stages:
        """See `PartedModel.stages`."""
        return self.trunk.stages(count)


def _upward(level: int) -> nn.Sequential:
    """From a pyramid level to stride 4: a convolution for each doubling, one where none is needed."""
    layers: list[nn.Module] = []
    for step in range(max(1, level)):
        channels = HEAD if step else PYRAMID
        layers.append(Conv2dNormActivation(channels, HEAD, 3, norm_layer=GROUP_NORM))
        if level:
            layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
    return nn.Sequential(*layers)
