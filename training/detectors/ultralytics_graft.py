"""An ultralytics model YAML with another library's backbone in the place of its own."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from cluster.errors import UserError
from training.backbones import build
from training.backbones.base import Backbone
from training.detectors.normalisation import normalised
from training.ultralytics_library import register_layer, yaml_model_load

LEVELS = (8, 16, 32)  # strides that the necks join
TAIL = (
    "SPPF",
    "C2PSA",
)  # listed with the backbone, yet no stage of it: they stay, as the neck's first layers
Layer = list[Any]  # [from, repeats, module, arguments]


class BackboneLayer(nn.Module):
    """A backbone as one layer of an ultralytics model: its maps of strides 8, 16 and 32.

    Until `attach` it is hidden from the library, which sets every batch norm to its own eps and momentum and
    sends zeros through the layers.

    Args:
        name: of the backbone.
    """

    backbone: Backbone

    def __init__(self, name: str) -> None:
        super().__init__()
        hidden = build(name).eval()
        self.__dict__["backbone"] = hidden
        self.levels = level_indices(hidden)

    def attach(self) -> None:
        """Become an ordinary module, whose keys begin with `backbone.`."""
        self.backbone = self.__dict__.pop("backbone").train(self.training)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Three maps of a (B, 3, H, W) RGB image in [0, 1]."""
        maps = self.backbone(normalised(x, self.backbone))
        return [maps[index] for index in self.levels]


register_layer(BackboneLayer)


def library_prefix(backbone: Backbone) -> str:
    """What the backbone's own state dict puts before its library's keys."""
    own, library = next(iter(backbone.state_dict())), next(iter(backbone.library_state_dict()))
    return own.removesuffix(library)


def level_indices(backbone: Backbone) -> list[int]:
    """Where among the backbone's stages those of strides 8, 16 and 32 are.

    Raises:
        UserError: it lacks one.
    """
    strides = [stage.stride for stage in backbone.stages]
    if missing := sorted(set(LEVELS) - set(strides)):
        raise UserError(
            f"Backbone {backbone.name} has no map of stride {missing[0]}, which a detector needs (it has "
            f"{strides}); choose one with stages at 8, 16 and 32."
        )
    return [strides.index(level) for level in LEVELS]


def strides(layers: Sequence[Layer]) -> list[int]:
    """Input pixels per cell after each layer of a YAML's backbone list."""
    reached, found = 1, []
    for _, _, module, arguments in layers:
        if module == "HGStem" or (module == "ResNetLayer" and arguments[3]):
            reached *= 4
        elif module in ("Conv", "DWConv", "ResNetLayer") and len(arguments) > 2:
            reached *= arguments[2]
        found.append(reached)
    return found


def grafted(family: str, backbone: str) -> dict[str, Any]:
    """The model YAML of `family`, e.g. `yolov8s`: layer 0 is the backbone, neck and head are its own."""
    whole: dict[str, Any] = copy.deepcopy(yaml_model_load(f"{family}.yaml"))
    old: list[Layer] = whole["backbone"]
    trunk = [layer for layer in old if layer[2] not in TAIL]
    channels = {stage.stride: stage.channels for stage in build(backbone).stages}
    reached = strides(trunk)
    moved: dict[int, int] = {}
    new: list[Layer] = [[-1, 1, BackboneLayer.__name__, [backbone]]]
    for place, level in enumerate(LEVELS):
        moved[max(index for index, stride in enumerate(reached) if stride == level)] = len(new)
        new.append([0, 1, "Index", [channels[level], place]])
    for index in range(len(trunk), len(old)):
        moved[index] = len(new)
        new.append(old[index])
    shift = len(new) - len(old)

    def placed(source: int) -> int:
        if source < 0:
            return source
        return moved[source] if source < len(old) else source + shift

    for layer in whole["head"]:
        layer[0] = [placed(s) for s in layer[0]] if isinstance(layer[0], list) else placed(layer[0])
    return whole | {"backbone": new}
