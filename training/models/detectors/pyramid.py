"""A ViT's maps at the strides of a pyramid: its one resolution sampled up and down."""

import math
from collections.abc import Sequence

from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn


def resamples(stride: int, wanted: Sequence[int]) -> bool:
    """Whether maps of one stride become those of the wanted strides by halvings and doublings."""
    return all(math.log2(max(stride, each) / min(stride, each)).is_integer() for each in wanted)


class SimplePyramid(nn.Module):
    """One map a stride, from as many maps of one resolution: normed, then doubled or halved.

    Doublings are transposed convolutions that halve the channels, halvings are maxima of 2 × 2 (Li et al.,
    "Exploring Plain Vision Transformer Backbones for Object Detection", section 3). The paper resamples the
    last map alone; here each stride has a quarter of the ViT of its own, as a stage of a ConvNet would.
    They come before the ViT's final norm and grow with depth, hence the norm in front.

    Args:
        stride: input pixels per cell of the maps.
        channels: number of channels of the maps.
        wanted: strides, see `resamples`.

    Attributes:
        channels: number of channels of each resampled map.
    """

    def __init__(self, stride: int, channels: int, wanted: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        self.channels: list[int] = []
        for each in wanted:
            layers: list[nn.Module] = [LayerNorm2d(channels)]
            width = channels
            for doubling in range(round(math.log2(max(1, stride / each)))):
                layers += [LayerNorm2d(width), nn.GELU()] if doubling else []
                layers.append(nn.ConvTranspose2d(width, width // 2, 2, 2))
                width //= 2
            layers += [nn.MaxPool2d(2) for _ in range(round(math.log2(max(1, each / stride))))]
            self.levels.append(nn.Sequential(*layers))
            self.channels.append(width)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, channels of the level, H/stride, W/stride) for each of the (B, C, h, w)."""
        return [level(x) for level, x in zip(self.levels, maps, strict=True)]
