"""What all of ultralytics' detectors share: a YAML's layers, run one by one, in the library's own keys."""

from abc import abstractmethod
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cluster.errors import UserError
from training.models import DEFAULT_CFG, Conv, Part, Preprocessing, Stages, Targets, get_cfg
from training.models.backbones import build
from training.models.detectors.base import Detector
from training.models.detectors.trunk import Trunk
from training.models.detectors.ultralytics_graft import LEVELS, TrunkLayer, grafted, strides

STAGES = (4, 8, 16, 32)  # their strides, as backbones count them


class UltralyticsNetwork(Detector):
    """A network of ultralytics behind our interface; keys are the library's (`model.0.conv.weight`, …).

    Args:
        name: e.g. `yolov8n`, `rtdetr-l`, `yolov8s+resnet50`.
        classes: names in label order.
        preprocessing: how images become its input.
        network: the library's network; its layers become ours.
    """

    network: Any

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, network: Any
    ) -> None:
        super().__init__()
        self.architecture, self.classes, self.preprocessing = name, classes, preprocessing
        network.args = get_cfg(DEFAULT_CFG)
        self.model: nn.Sequential = network.model
        # Past nn.Module's registry: its layers are registered above, under the library's own keys.
        self.__dict__["network"] = network
        self._criterion: tuple[torch.device, Any] | None = None
        if isinstance(self.model[0], TrunkLayer):
            network.yaml["backbone"][0][3] = []  # else it would keep the trunk that the layer is a copy of
            self.model[0].attach()
            self.backbone_prefix = "model.0.trunk.body."
            self._backbone_length = 1
        else:
            self._backbone_length = len(network.yaml["backbone"])

    @property
    def head(self) -> Any:
        """The library's `Detect` or `RTDETRDecoder`."""
        return self.model[-1]

    @property
    @abstractmethod
    def class_layers(self) -> tuple[str, ...]:
        """What the keys of the head's class-dependent layers start with, after `model.N.`."""

    @abstractmethod
    def new_criterion(self) -> Any:
        """The library's loss, made for the device where the layers are."""

    def features(self, images: Tensor) -> list[Tensor]:
        """What goes into the head: the neck's maps, finest first."""
        x: Any = images
        outputs: list[Any] = []
        layers: list[Any] = list(self.model)[:-1]
        for layer in layers:
            source = layer.f
            if source != -1:
                x = (
                    outputs[source]
                    if isinstance(source, int)
                    else [x if j == -1 else outputs[j] for j in source]
                )
            x = layer(x)
            outputs.append(x if layer.i in self.network.save else None)
        return [outputs[index] for index in self.head.f]

    def criterion(self, device: torch.device) -> Any:
        """The loss; it keeps tensors of the device it was made on, and the model may have moved since."""
        if self._criterion is None or self._criterion[0] != device:
            self._criterion = (device, self.new_criterion())
        return self._criterion[1]

    def part_of(self, key: str) -> Part:
        """By the layer's index in the library's YAML; a ViT's pyramid is the neck."""
        _, index, *rest = key.split(".")
        if int(index) < self._backbone_length:
            return "backbone" if key.startswith(self.backbone_prefix) else "neck"
        if int(index) < len(self.model) - 1:
            return "neck"
        return "classes" if ".".join(rest).startswith(self.class_layers) else "head"

    def fold_norms(self) -> None:
        """See `Detector.fold_norms`. A trunk of another library keeps its norms.

        The library's own `fuse` takes away the head that we predict with, where there are two (YOLO26).
        """
        for module in self.eval().modules():
            # Subclasses that add a branch have a forward of their own.
            if getattr(type(module), "forward", None) is not Conv.forward:
                continue
            conv, norm = module.conv, module.bn
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module.conv, module.bn = fuse_conv_bn_eval(conv, norm), nn.Identity()

    def stages(self, count: int) -> Stages:
        """See `Detector.stages`; of its own backbone, the layers up to stride 4, 8, 16, 32 (and SPPF)."""
        if isinstance(self.model[0], TrunkLayer):
            return self.model[0].trunk.stages(count)
        if count > len(STAGES):
            raise UserError(
                f"The backbone of {self.architecture} has {len(STAGES)} stages; {count} can't be frozen."
            )
        reached = strides(self.network.yaml["backbone"])
        layers = zip(self.model[: self._backbone_length], reached, strict=True)
        return Stages([layer for layer, stride in layers if stride <= STAGES[count - 1]], [])

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self.network._apply(fn)  # moves the head's strides and anchors too, which are plain attributes
        return self


def layers_of(name: str, preprocessing: Preprocessing) -> str | dict[str, Any]:
    """What the library builds a detector of this name from: its YAML file, or one with a grafted backbone.

    Raises:
        UserError: see `Trunk`.
    """
    family, plus, backbone = name.partition("+")
    if not plus:
        return f"{family}.yaml"
    return grafted(family, Trunk(build(backbone), LEVELS, preprocessing.shape))


def library_batch(images: Tensor, targets: Targets) -> dict[str, Tensor]:
    """A batch as ultralytics' losses take it: centres and sizes as shares of the image's sides."""
    height, width = images.shape[-2:]
    boxes = targets["boxes"] / targets["boxes"].new_tensor([width, height, width, height])
    batch = {
        "img": images,
        "batch_idx": targets["image"].to(images.dtype),
        "cls": targets["labels"].to(images.dtype)[:, None],
        "bboxes": torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1),
    }
    return batch | ({"weights": targets["weights"]} if "weights" in targets else {})
