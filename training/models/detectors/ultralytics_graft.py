"""An ultralytics model YAML with another library's backbone in the place of its own."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from training.models import register_layer, yaml_model_load
from training.models.detectors.trunk import Trunk

LEVELS = (8, 16, 32)  # strides that the necks join
TAIL = (
    "SPPF",
    "C2PSA",
)  # listed with the backbone, yet no stage of it: they stay, as the neck's first layers
Layer = list[Any]  # [from, repeats, module, arguments]


class TrunkLayer(nn.Module):
    """A trunk as layer 0 of an ultralytics model.

    Until `attach` it is hidden from the library, which sets every batch norm to its own eps and momentum and
    sends zeros through the layers.

    Args:
        trunk: a trunk with maps of strides 8, 16 and 32.
    """

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.__dict__["trunk"] = trunk.eval()

    def attach(self) -> None:
        """Become an ordinary module, whose keys begin with `trunk.`."""
        self.trunk: Trunk = self.__dict__.pop("trunk").train(self.training)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `Trunk.forward`."""
        maps: list[Tensor] = self.trunk(x)
        return maps


register_layer(TrunkLayer)


def strides(layers: Sequence[Layer]) -> list[int]:
    """Input pixels per cell after each layer of a YAML's backbone list."""
    reached, layer_strides = 1, []
    for _, _, module, arguments in layers:
        if module == "HGStem" or (module == "ResNetLayer" and arguments[3]):
            reached *= 4
        elif module in ("Conv", "DWConv", "ResNetLayer") and len(arguments) > 2:
            reached *= arguments[2]
        layer_strides.append(reached)
    return layer_strides


def grafted(family: str, trunk: Trunk) -> dict[str, Any]:
    """The model YAML of `family`, e.g. `yolov8s`: layer 0 is the trunk, neck and head are its own."""
    whole: dict[str, Any] = copy.deepcopy(yaml_model_load(f"{family}.yaml"))
    old: list[Layer] = whole["backbone"]
    stages = [layer for layer in old if layer[2] not in TAIL]
    reached = strides(stages)
    moved: dict[int, int] = {}
    new: list[Layer] = [[-1, 1, TrunkLayer.__name__, [trunk]]]
    for place, (level, channels) in enumerate(zip(LEVELS, trunk.channels, strict=True)):
        moved[max(index for index, stride in enumerate(reached) if stride == level)] = len(new)
        new.append([0, 1, "Index", [channels, place]])
    for index in range(len(stages), len(old)):
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
