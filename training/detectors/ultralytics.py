"""YOLOv8, 11, 12 and 26 of ultralytics: its model, loss and suppression inside our own loop."""

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from training.detectors.base import MAX_BOXES, MIN_SCORE, Detector, Part, Predictions, Targets, register
from training.letterbox import Preprocessing
from training.ultralytics_library import DEFAULT_CFG, DetectionModel, get_cfg, non_max_suppression

FAMILIES = ("yolov8", "yolo11", "yolo12", "yolo26")
NAMES = tuple(f"{family}{scale}" for family in FAMILIES for scale in "nsmlx")
NMS_IOU = 0.7  # the library's validation default
CLASS_BRANCHES = ("cv3", "one2one_cv3")  # one2one: the end-to-end head of YOLO26


@register(*NAMES)
class UltralyticsDetector(Detector):
    """One `DetectionModel` behind our interface; keys are the library's (`model.0.conv.weight`, …).

    Args:
        name: e.g. `yolov8n`.
        classes: names in label order.
        preprocessing: of its input.
        like: state dict whose width of the head's class branch is taken.
    """

    network: Any

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.architecture, self.classes, self.preprocessing = name, classes, preprocessing
        # The library sizes the branch max(first level's channels, min(classes, 100)): asked for as many
        # classes as a branch is wide, it makes it just so wide.
        ends = [w for key, w in like.items() if key.endswith(".cv3.0.2.weight") and w.ndim == 4]
        hidden = min(ends[0].shape[1], 100) if ends else None
        network: Any = DetectionModel(f"{name}.yaml", ch=3, nc=hidden or len(classes), verbose=False)
        network.args = get_cfg(DEFAULT_CFG)
        self.model: nn.Sequential = network.model
        # Past nn.Module's registry: its layers are registered above, under the library's own keys.
        self.__dict__["network"] = network
        self._criterion: tuple[torch.device, Any] | None = None
        self._backbone_length = len(network.yaml["backbone"])
        if hidden:
            self._make_class_layers()
        if isinstance(self.head.dfl, nn.Module):
            self.head.dfl.requires_grad_(False)  # the fixed numbers 0..15 of an expectation, never trained

    @property
    def head(self) -> Any:
        """The library's `Detect` module."""
        return self.model[-1]

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts `box`, `cls` and `dfl` (or `l1`), as the library weighs them."""
        side = images.shape[-1]
        boxes = targets["boxes"] / side
        centres, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        batch = {
            "img": images,
            "batch_idx": targets["image"].to(images.dtype),
            "cls": targets["labels"].to(images.dtype)[:, None],
            "bboxes": torch.cat([centres, sizes], dim=1),
        }
        loss, items = self._loss_on(images.device)(self.network.predict(images), batch)
        parts = {name.removesuffix("_loss"): value.detach() for name, value in items.items()}
        return loss.sum() / len(images), parts  # the library multiplies by the batch size

    def predict(
        self, images: Tensor, *, min_score: float = MIN_SCORE, max_boxes: int = MAX_BOXES
    ) -> list[Predictions]:
        """See `Detector.predict`: NMS by class at IoU 0.7, boxes with several labels; none if end-to-end."""
        was_training = self.training
        self.eval()
        with torch.no_grad():
            output = self.network.predict(images)
            found = non_max_suppression(
                output[0],
                min_score,
                NMS_IOU,
                multi_label=True,
                max_det=max_boxes,
                nc=len(self.classes),
                end2end=self.network.end2end,
                max_time_img=math.inf,  # its default gives up after a while, so results would depend on speed
            )
        self.train(was_training)
        return [Predictions(rows[:, :4], rows[:, 4], rows[:, 5].long()) for rows in found]

    def part_of(self, key: str) -> Part:
        """By the layer's index in the library's YAML; `classes` are the class branches' last convolutions."""
        _, index, *rest = key.split(".")
        if int(index) < self._backbone_length:
            return "backbone"
        if int(index) < len(self.model) - 1:
            return "neck"
        return "classes" if rest[0] in CLASS_BRANCHES and rest[2] == "2" else "head"

    def backbone_modules(self) -> list[nn.Module]:
        """The layers of the YAML file's `backbone` list."""
        return list(self.model[: self._backbone_length])

    def _make_class_layers(self) -> None:
        head, count = self.head, len(self.classes)
        head.nc, head.no, self.network.nc = count, count + head.reg_max * 4, count
        for branches in (getattr(head, name) for name in CLASS_BRANCHES if hasattr(head, name)):
            for branch, stride in zip(branches, head.stride.tolist(), strict=True):
                branch[-1] = nn.Conv2d(branch[-1].in_channels, count, 1)
                # The library's prior: some 5 objects, spread over the classes, in a 640 px image.
                nn.init.constant_(branch[-1].bias, math.log(5 / count / (640 / stride) ** 2))

    def _loss_on(self, device: torch.device) -> Any:
        # The library's criterion copies the device when built; the model may have moved since.
        if self._criterion is None or self._criterion[0] != device:
            self._criterion = (device, self.network.init_criterion())
        return self._criterion[1]

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self.network._apply(fn)  # moves the head's strides and anchors too, which are plain attributes
        return self
