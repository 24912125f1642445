"""A backbone under a detector: colours normalised, maps of the strides that the neck joins."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from cluster.errors import UserError
from training.models import Stages as Stages
from training.models.backbones import Backbone
from training.models.detectors.pyramid import SimplePyramid, resamples

PREFIX = "body."  # torchvision's word, so that its published weights fit


class Trunk(nn.Module):
    """Feature maps of chosen strides; its state dict has the backbone library's keys behind `body.`.

    A backbone of one resolution (ViT) gives its last quarters, one a stride, through a `SimplePyramid`, whose
    keys begin with `pyramid.` and belong to the neck: no start fills them.

    Args:
        backbone: the adapter, which becomes part of it.
        strides: input pixels per cell of the maps, finest first.
        shape: height and width of the detector's input, pixels.

    Attributes:
        backbone: the adapter that knows its stages; it lies outside the module tree, which holds its library.
        channels: number of channels of each map.

    Raises:
        UserError: the backbone lacks a stride, or does not take this size.
    """

    backbone: Backbone
    pyramid: SimplePyramid | None

    def __init__(self, backbone: Backbone, strides: Sequence[int], shape: tuple[int, int]) -> None:
        super().__init__()
        for side in shape:
            backbone.check_size(side)
        backbone_strides = [stage.stride for stage in backbone.stages]
        missing = [stride for stride in strides if stride not in backbone_strides]
        plain = len(set(backbone_strides)) == 1 and resamples(backbone_strides[0], strides)
        if missing and not plain:
            raise UserError(
                f"Backbone {backbone.name} has no map of stride {missing[0]}, which the detector needs (its "
                f"strides: {', '.join(map(str, backbone_strides))}); choose a backbone with stages at "
                f"{', '.join(map(str, strides))}."
            )
        self.__dict__["backbone"] = backbone
        self.body = backbone.library
        if missing:
            if uneven := [side for side in shape if side % max(strides)]:
                raise UserError(
                    f"On {backbone.name} the detector takes images of multiples of {max(strides)} px, not "
                    f"{uneven[0]}."
                )
            last = len(backbone_strides) - 1
            self.levels = [max(0, last - place) for place in reversed(range(len(strides)))]
            self.pyramid = SimplePyramid(backbone_strides[0], backbone.stages[0].channels, strides)
            self.channels = self.pyramid.channels
        else:
            self.levels = [backbone_strides.index(stride) for stride in strides]
            self.pyramid = None
            self.channels = [backbone.stages[level].channels for level in self.levels]

    def stages(self, count: int) -> Stages:
        """The first `count` stages.

        Raises:
            UserError: there are fewer.
        """
        backbone = self.backbone
        if count > len(backbone.stages):
            raise UserError(
                f"Backbone {backbone.name} has {len(backbone.stages)} stages; {count} can't be frozen."
            )
        return Stages(backbone.stage_modules(count), backbone.stage_parameters(count))

    def take_colours(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        """Normalise by a data set's colours instead of the backbone's own; its file must tell them."""
        self.backbone.mean, self.backbone.std = mean, std

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of (B, 3, H, W) RGB images in [0, 1]."""
        mean = images.new_tensor(self.backbone.mean)[:, None, None]
        std = images.new_tensor(self.backbone.std)[:, None, None]
        maps = self.backbone((images - mean) / std)
        chosen = [maps[level] for level in self.levels]
        return chosen if self.pyramid is None else self.pyramid(chosen)


class TrunkEncoder(nn.Module):
    """A trunk in the place of the backbone of a transformers model; keys `trunk.…`.

    Args:
        trunk: a trunk with maps of the strides that the model joins.
        as_read: turns the maps into what the model reads.
    """

    def __init__(self, trunk: Trunk, as_read: Callable[[list[Tensor]], Any]) -> None:
        super().__init__()
        self.trunk, self.as_read = trunk, as_read

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Any:
        """Maps of (B, 3, H, W) images, as the model reads them.

        Args:
            images: RGB in [0, 1].
            mask: pixels that are no padding; ignored, as nothing is padded.
        """
        return self.as_read(self.trunk(images))
