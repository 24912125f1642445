"""YOLOv8, 11, 12 and 26 of ultralytics, on their own backbones or others."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from training.models import (
    YOLO,
    DetectionModel,
    E2ELoss,
    Preprocessing,
    Targets,
    exactly,
    float32,
    make_anchors,
)
from training.models.detectors.base import register, register_on_backbone
from training.models.detectors.ultralytics_network import UltralyticsNetwork, layers_of, library_batch
from training.models.detectors.ultralytics_weighting import WeightedDetectionLoss

NMS_IOU = 0.7  # the library's validation default
CLASS_BRANCHES = ("cv3", "one2one_cv3")  # one2one: the NMS-free head of YOLO26


@register(*YOLO)
@register_on_backbone(*YOLO)
class UltralyticsDetector(UltralyticsNetwork):
    """One `DetectionModel`.

    Args:
        name: e.g. `yolov8n`, or `yolov8s+resnet50`: neck and head of the first on the second.
        classes: names in label order.
        preprocessing: how images become its input.
        like: state dict that gives the width of the head's class branch.
    """

    weighs_boxes: ClassVar[bool] = True
    nms_iou = NMS_IOU
    class_layers = tuple(f"{branch}.{level}.2." for branch in CLASS_BRANCHES for level in range(3))

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        # The library sizes the branch max(first level's channels, min(classes, 100)). With as many
        # classes as a branch is wide, the branch gets that width.
        ends = [w for key, w in like.items() if key.endswith(".cv3.0.2.weight") and w.ndim == 4]
        hidden = min(ends[0].shape[1], 100) if ends else None
        network = self.network_of(name, preprocessing, hidden or len(classes))
        super().__init__(name, classes, preprocessing, network)
        self._epoch = (1, network.args.epochs)
        if hidden:
            self._make_class_layers()
        if isinstance(self.head.dfl, nn.Module):
            self.head.dfl.requires_grad_(False)  # the fixed numbers 0..15 of an expectation, never trained
        self.head.xyxy = True  # what `candidates` gives

    def network_of(self, name: str, preprocessing: Preprocessing, classes: int) -> Any:
        """The library's network of a name, for so many classes."""
        return DetectionModel(layers_of(name, preprocessing), ch=3, nc=classes, verbose=False)

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts `box`, `cls` and `dfl` (or `l1`), as the library weighs them."""
        criterion = self.criterion(images.device)
        predictions = float32(self.head(self.features(images)))
        with exactly(images.device):
            loss, items = criterion(predictions, library_batch(images, targets))
        parts = {name.removesuffix("_loss"): value.detach() for name, value in items.items()}
        return loss.sum() / len(images), parts  # the library multiplies by the batch size

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`: every anchor point of the three levels.

        YOLO26 too answers by its one-to-many head and NMS, the library's default; its NMS-free head is
        trained too.
        """
        head = self.head
        predictions = float32(head.forward_head(self.features(images), **head.one2many))
        with exactly(images.device):
            points, steps = make_anchors(predictions["feats"], head.stride, 0.5)
            boxes = head.decode_bboxes(head.dfl(predictions["boxes"]), points.T[None]) * steps.T
        return boxes.transpose(1, 2)[:, :, None], predictions["scores"].sigmoid().transpose(1, 2)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """YOLO26 moves the weight of its loss from the one-to-many to the one-to-one head, epoch by epoch."""
        self._epoch = (epoch, epochs)
        if self._criterion is not None:
            self._schedule(self._criterion[1])

    def new_criterion(self) -> Any:
        """The library's loss, or its pair of them where there is a one-to-one head (YOLO26)."""
        if not hasattr(self.head, "one2one_cv2"):
            return WeightedDetectionLoss(self.network)
        criterion = E2ELoss(self.network, WeightedDetectionLoss)
        self._schedule(criterion)
        return criterion

    def _schedule(self, criterion: Any) -> None:
        if isinstance(criterion, E2ELoss):
            epoch, self.network.args.epochs = self._epoch
            criterion.updates = epoch - 2  # as the library's trainer does when it resumes
            criterion.update()

    def _make_class_layers(self) -> None:
        head, count = self.head, len(self.classes)
        head.nc, head.no, self.network.nc = count, count + head.reg_max * 4, count
        for branches in (getattr(head, name) for name in CLASS_BRANCHES if hasattr(head, name)):
            for branch, stride in zip(branches, head.stride.tolist(), strict=True):
                branch[-1] = nn.Conv2d(branch[-1].in_channels, count, 1)
                # The library's prior: some 5 objects, spread over the classes, in a 640 px image.
                nn.init.constant_(branch[-1].bias, math.log(5 / count / (640 / stride) ** 2))
