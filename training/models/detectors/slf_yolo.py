"""SLF-YOLO, a YOLOv8 for metal surfaces: gated star blocks in the backbone, a light neck of fused scales.

Source: Liu et al., Metal surface defect detection using SLF-YOLO enhanced YOLOv8 model, Scientific Reports
15, 11105 (2025), and the network that its authors publish. Its parts are of others: star blocks (Ma et al.,
Rewrite the Stars, arXiv 2403.19967) with a convolutional GLU (Shi, TransNeXt, arXiv 2311.17132), GSConv and
VoV-GSCSP (Li et al., Slim-neck by GSConv, arXiv 2206.02424), and scales fused as in ASF-YOLO (Kang et al.,
arXiv 2312.06458). Stem, downsampling, SPPF and head are YOLOv8's.

The paper's FIMetal-IoU is not here: the published network is trained by YOLOv8's own loss (CIoU), and so is
this one. A convolution of VoV-GSCSP that the published network has and never uses is left out.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models import SLF_YOLO, Conv, DetectionModel, Preprocessing
from training.models.detectors.base import register
from training.models.detectors.ultralytics import UltralyticsDetector

BASES = {"slf-yolo": "yolov8s", "slf-yolo-n": "yolov8n"}  # whose stem, SPPF, head and widths they have
STAR_REPEATS = {2: 1, 4: 2, 6: 2, 8: 1}  # blocks at the places of YOLOv8's C2f, at its depth of 0.33
EXPANSION = 3  # of a star block's two branches
NORM = {"eps": 1e-3, "momentum": 0.03}  # of ultralytics' batch norms


@register(*SLF_YOLO)
class SlfYoloDetector(UltralyticsDetector):
    """One `DetectionModel` whose C2f blocks and neck are SLF-YOLO's; keys are numbered as its YAML's layers.

    Args:
        name: `slf-yolo`, the paper's size, or the smaller `slf-yolo-n`.
        classes: names in label order.
        preprocessing: how images become its input.
        like: state dict that gives the width of the head's class branch.
    """

    def network_of(self, name: str, preprocessing: Preprocessing, classes: int) -> Any:
        """See `UltralyticsDetector.network_of`."""
        network: Any = DetectionModel(f"{BASES[name]}.yaml", ch=3, nc=classes, verbose=False)
        own = list(network.model)
        fine, middle, coarse = (own[index].cv2.conv.out_channels for index in (4, 6, 8))
        stem = own[2].cv2.conv.out_channels
        for index, repeats in STAR_REPEATS.items():
            width = own[index].cv2.conv.out_channels
            own[index] = _placed(StarC2f(width, repeats), index, -1)
        neck: list[tuple[Any, nn.Module]] = [
            (-1, GSConv(coarse, middle)),  # 10
            (4, GSConv(fine, middle)),
            ([-1, 6, -2], ZoomConcat()),
            (-1, VoVGSCSP(3 * middle, middle)),
            (-1, GSConv(middle, fine)),
            (2, GSConv(stem, fine)),
            ([-1, 4, -2], ZoomConcat()),
            (-1, VoVGSCSP(3 * fine, fine)),  # 17
            (-1, GSConv(fine, fine, 3, 2)),
            ([-1, 14], Concat()),
            (-1, VoVGSCSP(2 * fine, middle)),  # 20
            (-1, GSConv(middle, middle, 3, 2)),
            ([-1, 10], Concat()),
            (-1, VoVGSCSP(2 * middle, coarse)),  # 23
            ([4, 6, 8], ScaleSequence((fine, middle, coarse), fine)),
            ([17, -1], Sum()),  # 25
        ]
        layers = own[:10] + [_placed(layer, 10 + index, source) for index, (source, layer) in enumerate(neck)]
        layers.append(_placed(own[-1], len(layers), [25, 20, 23]))
        network.model = nn.Sequential(*layers)
        network.save = sorted(
            {source % layer.i for layer in layers for source in _listed(layer.f) if source != -1}
        )
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = NORM["eps"], NORM["momentum"]
        return network


def _placed(layer: Any, index: int, source: int | list[int]) -> Any:
    """The layer, told its place and what it reads, as ultralytics' models are run."""
    layer.i, layer.f = index, source
    return layer


def _listed(source: int | list[int]) -> list[int]:
    return [source] if isinstance(source, int) else source


class Glu(nn.Module):
    """Channels gated by a depthwise convolution of others, added to what came in (TransNeXt, section 3.3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 2 * width // 3
        self.split = nn.Conv2d(width, 2 * hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.join = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        gate, value = self.split(x).chunk(2, 1)
        joined: Tensor = self.join(F.gelu(self.depthwise(gate)) * value)
        return x + joined


class StarBlock(nn.Module):
    """The paper's SC block: two branches multiplied element by element, then gated, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = Conv(width, width, 7, g=width, act=False)
        self.left, self.right = (nn.Conv2d(width, EXPANSION * width, 1) for _ in range(2))
        self.narrow = Conv(EXPANSION * width, width, 1, act=False)
        self.after = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.glu = Glu(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        seen = self.before(x)
        star = F.relu6(self.left(seen)) * self.right(seen)
        gated: Tensor = self.glu(self.after(self.narrow(star)))
        return x + gated


class StarC2f(nn.Module):
    """SC_C2f: half the channels go on through blocks, and every block's result is joined."""

    def __init__(self, width: int, repeats: int) -> None:
        super().__init__()
        self.width_of_half = width // 2
        self.cv1 = Conv(width, width, 1)
        self.blocks = nn.ModuleList(StarBlock(self.width_of_half) for _ in range(repeats))
        self.cv2 = Conv((2 + repeats) * self.width_of_half, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        parts = list(self.cv1(x).split(self.width_of_half, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        joined: Tensor = self.cv2(torch.cat(parts, 1))
        return joined


class GSConv(nn.Module):
    """Half the channels by a convolution, half by a depthwise one of these; even ones first."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.dense = Conv(before, after // 2, kernel, stride)
        self.depthwise = Conv(after // 2, after // 2, 5, 1, g=after // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H / stride, W / stride)."""
        dense = self.dense(x)
        both = torch.cat([dense, self.depthwise(dense)], 1)
        return torch.cat([both[:, 0::2], both[:, 1::2]], 1)


class VoVGSCSP(nn.Module):
    """A bottleneck of GSConvs on half the channels, joined with the other half."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        half = after // 2
        self.cv1, self.cv2 = Conv(before, half, 1), Conv(before, half, 1)
        self.bottleneck = nn.Sequential(GSConv(half, half), GSConv(half, half, 3))
        self.shortcut = Conv(half, half, 1, act=False)
        self.cv3 = Conv(2 * half, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, after, H, W)."""
        first = self.cv1(x)
        deep = self.bottleneck(first) + self.shortcut(first)
        joined: Tensor = self.cv3(torch.cat([self.cv2(x), deep], 1))
        return joined


class ZoomConcat(nn.Module):
    """A finer, a middle and a coarser map joined at the middle one's size (ASF-YOLO's triple encoding)."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B, …, H, W) of the middle one's H and W."""
        fine, middle, coarse = maps
        # Sides are halved from level to level, so that the finer one's cells are pooled two by two.
        finer = F.max_pool2d(fine, 2) + F.avg_pool2d(fine, 2)
        return torch.cat([finer, middle, F.interpolate(coarse, scale_factor=2.0, mode="nearest")], 1)


class ScaleSequence(nn.Module):
    """Three maps as a sequence of scales, of which each place keeps the strongest (ASF-YOLO's SSFF)."""

    def __init__(self, before: tuple[int, int, int], after: int) -> None:
        super().__init__()
        # The finest comes as wide as it goes out.
        self.project = nn.ModuleList(Conv(channels, after, 1) for channels in before[1:])
        # As published, a 3D convolution of size 1 over stacked scales; a 2D one over scales laid end to end
        # gives the same, and can be laid out channels last.
        self.mix = Conv(after, after, 1, act=nn.LeakyReLU(0.1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B, after, H, W) of the finest one's H and W."""
        levels = [maps[0]]
        for level, (project, one) in enumerate(zip(self.project, maps[1:], strict=True), 1):
            levels.append(F.interpolate(project(one), scale_factor=2.0**level, mode="nearest"))
        mixed: Tensor = self.mix(torch.cat(levels, 2))
        return torch.stack(mixed.chunk(3, 2)).amax(0)


class Concat(nn.Module):
    """Maps of one size joined."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B, the sum of channels, H, W)."""
        return torch.cat(maps, 1)


class Sum(nn.Module):
    """Maps of one shape added up."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """(B, C, H, W)."""
        return torch.stack(maps).sum(0)
