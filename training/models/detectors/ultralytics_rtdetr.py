"""RT-DETR of ultralytics, with its contrastive denoising in training."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training.models import (
    RTDETR,
    RTDETR_RESNET,
    YOLO_RTDETR,
    Preprocessing,
    RTDETRDetectionModel,
    Targets,
    exactly,
    float32,
)
from training.models.detectors.base import register, register_on_backbone
from training.models.detectors.ultralytics_network import UltralyticsNetwork, layers_of, library_batch


# YOLOv8's backbone and neck before RT-DETR's decoder are among the names.
@register(*RTDETR, *RTDETR_RESNET, *YOLO_RTDETR)
@register_on_backbone(*RTDETR)
class UltralyticsRTDETR(UltralyticsNetwork):
    """One `RTDETRDetectionModel`.

    Args:
        name: e.g. `rtdetr-l`, `yolov8n-rtdetr` (the smallest), or `rtdetr-l+resnet50`.
        classes: names in label order.
        preprocessing: how images become its input.
        like: not needed; no hidden layer follows the number of classes.
    """

    ranks = True
    nms_iou = None
    class_layers = ("denoising_class_embed.", "enc_score_head.", "dec_score_head.")

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        layers = layers_of(name, preprocessing)
        network: Any = RTDETRDetectionModel(layers, ch=3, nc=len(classes), verbose=False)
        network.nc = len(classes)
        super().__init__(name, classes, preprocessing, network)

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts `giou`, `cls` and `l1` of the last decoder layer."""
        batch = library_batch(images, targets)
        # The library's `loss` splits denoising queries off; it reads these two attributes.
        self.network.training = self.training
        self.network.criterion = self.criterion(images.device)
        groups = targets["image"].bincount(minlength=len(images)).tolist()
        truth = {
            "cls": targets["labels"],
            "bboxes": batch["bboxes"],
            "batch_idx": targets["image"],
            "gt_groups": groups,
        }
        predictions = float32(self.head(self.features(images), truth))
        with exactly(images.device):
            loss, items = self.network.loss(batch, predictions)
        return loss, {name.removesuffix("_loss"): value.detach() for name, value in items.items()}

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`: the queries of the last decoder layer."""
        height, width = images.shape[-2:]
        _, (boxes, scores, *_) = float32(self.head(self.features(images)))
        centres, sizes = boxes[0, ..., :2], boxes[0, ..., 2:]
        corners = [centres - sizes / 2, centres + sizes / 2]
        scale = boxes.new_tensor([width, height, width, height])
        return (torch.cat(corners, -1) * scale)[:, :, None], scores[0].sigmoid()

    def export_module(self) -> nn.Module:
        """See `Detector.export_module`."""
        module = super().export_module()
        # The decoder keeps its anchors as plain attributes, which can't be made while tracing.
        with torch.no_grad():
            module(next(self.parameters()).new_zeros(1, 3, *self.preprocessing.shape))
        return module

    def new_criterion(self) -> Any:
        """The library's loss: Hungarian matching; varifocal, L1, GIoU on all layers and denoising groups."""
        return self.network.init_criterion()
