"""Faster R-CNN and Mask R-CNN of torchvision, with FPN on any backbone."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import Parameter
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.roi_heads import (
    maskrcnn_inference,
    maskrcnn_loss,
    paste_masks_in_image,
)
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import FeaturePyramidNetwork, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.poolers import LevelMapper

from training.models import TORCHVISION, Part, Preprocessing, Stages, Targets, backbone_of, float32
from training.models.backbones import build
from training.models.detectors.base import Detector, register_on_backbone
from training.models.detectors.proposals import choose_proposals
from training.models.detectors.suppression import Predictions
from training.models.detectors.torchvision_weighting import anchor_factors, head_loss, proposal_loss
from training.models.detectors.trunk import Trunk

STRIDES = (4, 8, 16, 32)
SMALLEST_BOX = 1e-2  # pixels; the library drops detections with a smaller side
PYRAMID_CHANNELS = 256  # as in the library's published models
MASK_HEAD = ("mask_head", "mask_predictor")
CLASS_LAYERS = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")


class Pyramid(Trunk):
    """A trunk and its FPN, as torchvision's detectors take them; keys `body.…` and `fpn.…` as theirs.

    Args:
        name: a backbone's name.
        shape: height and width of the input, pixels.
    """

    out_channels = PYRAMID_CHANNELS

    def __init__(self, name: str, shape: tuple[int, int]) -> None:
        super().__init__(build(name), STRIDES, shape)
        self.fpn = FeaturePyramidNetwork(self.channels, PYRAMID_CHANNELS, LastLevelMaxPool())

    def maps(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """Five maps by the library's names."""
        feature_maps = OrderedDict((str(level), x) for level, x in enumerate(Trunk.forward(self, images)))
        pyramid: OrderedDict[str, Tensor] = self.fpn(feature_maps)
        return pyramid


@register_on_backbone(*TORCHVISION)
class TorchvisionDetector(Detector):
    """One `FasterRCNN` or `MaskRCNN`; keys are the library's (`backbone.fpn.…`, `rpn.…`, `roi_heads.…`).

    The transform of the library (resizing, normalisation) is left out: inputs have their size already, and
    the trunk normalises. Batch norms of the backbone learn unless frozen; the library's own models fix them.

    Mask R-CNN learns masks once `learn_masks` said that the targets have `masks` (N, H, W) in {0, 1}. Before,
    its mask head gets no gradient and FPN, RPN and box head learn alone.

    Args:
        name: `faster-rcnn+BACKBONE` or `mask-rcnn+BACKBONE`.
        classes: names in label order; the library's label 0 is the background.
        preprocessing: how images become its input.
        like: not needed; no hidden layer follows the number of classes.
    """

    ranks: ClassVar[bool] = True
    weighs_boxes: ClassVar[bool] = True
    backbone_prefix = "backbone.body."

    def __init__(
        self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing, like: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.architecture, self.classes, self.preprocessing = name, classes, preprocessing
        self.backbone = Pyramid(backbone_of(name), preprocessing.shape)
        masks = name.startswith("mask")
        network: Any = (MaskRCNN if masks else FasterRCNN)(self.backbone, len(classes) + 1)
        self.rpn: Any = network.rpn
        self.roi_heads: Any = network.roi_heads
        self.nms_iou = float(self.roi_heads.nms_thresh)
        self.has_masks, self.learns_masks = masks, False
        for part in MASK_HEAD if masks else ():
            getattr(self.roi_heads, part).requires_grad_(False)
        self._apply(lambda x: x)  # lays out the anchors

    def learn_masks(self) -> None:
        """See `Detector.learn_masks`."""
        if not self.has_masks:
            super().learn_masks()
        self.learns_masks = True
        for part in MASK_HEAD:
            getattr(self.roi_heads, part).requires_grad_(True)

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts `objectness`, `rpn_box`, `cls`, `box`, and `mask` where learnt."""
        truths = _by_image(targets, len(images))
        sizes = [(images.shape[-2], images.shape[-1])] * len(images)
        maps = self.backbone.maps(images)
        logits, deltas, boxes, anchors, per_level = self._anchored(maps, images)
        every = [anchors] * len(images)
        labels, matched_boxes = self.rpn.assign_targets_to_anchors(every, truths)
        factors = anchor_factors(labels, matched_boxes, truths) if "weights" in targets else None
        regression = self.rpn.box_coder.encode(matched_boxes, every)
        objectness, rpn_box = proposal_loss(self.rpn, logits, deltas, labels, regression, factors)
        proposals, _ = self.rpn.filter_proposals(boxes.detach(), logits, sizes, per_level)

        heads = self.roi_heads
        # With a mask head the library insists on masks, though here it looks at boxes and labels alone.
        boxed = truths if self.learns_masks else [{"masks": truth["labels"], **truth} for truth in truths]
        proposals, matched, labels, regression = heads.select_training_samples(proposals, boxed)
        pooled = heads.box_roi_pool(maps, proposals, sizes)
        logits, deltas = float32(heads.box_predictor(heads.box_head(pooled)))
        weights = _factors(truths, matched) if "weights" in targets else None
        classes, box = head_loss(logits, deltas, labels, regression, weights)
        parts = {"objectness": objectness, "rpn_box": rpn_box, "cls": classes, "box": box}
        if self.learns_masks:
            parts["mask"] = self._mask_loss(maps, truths, proposals, matched, labels, sizes)
        loss = torch.stack(list(parts.values())).sum()
        return loss, {name: value.detach() for name, value in parts.items()}

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`: the refined proposals, a box for each class."""
        height, width = images.shape[-2:]
        maps = self.backbone.maps(images)
        logits, _, boxes, _, per_level = self._anchored(maps, images)
        proposals, valid = choose_proposals(
            boxes,
            logits,
            per_level,
            size=(height, width),
            before=self.rpn._pre_nms_top_n["testing"],
            after=self.rpn._post_nms_top_n["testing"],
            iou=self.rpn.nms_thresh,
        )
        heads, shape = self.roi_heads, valid.shape
        pooled = pooled_regions(list(maps.values())[:-1], proposals, heads.box_roi_pool)
        logits, deltas = float32(heads.box_predictor(heads.box_head(pooled)))
        refined = heads.box_coder.decode_single(deltas, proposals.reshape(-1, 4)).reshape(*shape, -1, 4)
        limits = refined.new_tensor([width, height, width, height])
        inside = torch.minimum(refined.clamp(min=0), limits)[:, :, 1:]
        seen = ((inside[..., 2:] - inside[..., :2]) >= SMALLEST_BOX).all(-1) & valid[..., None]
        return inside, logits.softmax(-1).reshape(*shape, -1)[..., 1:] * seen

    def part_of(self, key: str) -> Part:
        """By module: the FPN is the neck."""
        if key.startswith(self.backbone_prefix):
            return "backbone"
        if key.startswith("backbone."):
            return "neck"
        return "classes" if key.startswith(CLASS_LAYERS) else "head"

    def stages(self, count: int) -> Stages:
        """See `Detector.stages`."""
        return self.backbone.stages(count)

    def backbone_layers(self) -> list[list[Parameter]]:
        """See `PartedModel.backbone_layers`."""
        return self.backbone.backbone.layers()

    def predict_masks(self, images: Tensor, detections: Sequence[Predictions]) -> list[Tensor]:
        """See `Detector.predict_masks`."""
        if not self.has_masks:
            return super().predict_masks(images, detections)
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                sizes = [(images.shape[-2], images.shape[-1])] * len(images)
                maps, heads = self.backbone.maps(images), self.roi_heads
                pooled = heads.mask_roi_pool(maps, [each.boxes for each in detections], sizes)
                logits = heads.mask_predictor(heads.mask_head(pooled))
                shares = maskrcnn_inference(logits, [each.labels + 1 for each in detections])
        finally:
            self.train(was_training)
        return [
            paste_masks_in_image(share, each.boxes, (images.shape[-2], images.shape[-1]))[:, 0]
            for share, each in zip(shares, detections, strict=True)
        ]

    def _anchored(
        self, maps: Mapping[str, Tensor], images: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, list[int]]:
        """Per anchor: logits (B, A), deltas (B·A, 4), boxes (B, A, 4); anchors (A, 4); counts by level."""
        count, _, height, width = images.shape  # `len` would fix the batch in a traced graph
        levels = list(maps.values())
        logits, deltas = float32(self.rpn.head(levels))
        per_level = [x.shape[1] * x.shape[2] * x.shape[3] for x in logits]
        logits, deltas = concat_box_prediction_layers(logits, deltas)
        grids = [x.shape[-2:] for x in levels]
        steps = [[height // grid[0], width // grid[1]] for grid in grids]
        anchors = torch.cat(self.rpn.anchor_generator.grid_anchors(grids, steps))
        boxes = self.rpn.box_coder.decode_single(deltas, anchors.repeat(count, 1))
        shape = count, len(anchors)
        return logits.reshape(shape), deltas, boxes.reshape(*shape, 4), anchors, per_level

    def _mask_loss(
        self,
        maps: Mapping[str, Tensor],
        truths: list[dict[str, Tensor]],
        proposals: list[Tensor],
        matched: list[Tensor],
        labels: list[Tensor],
        sizes: list[tuple[int, int]],
    ) -> Tensor:
        """The library's mask loss on the proposals that show an object."""
        heads = self.roi_heads
        object_rows = [torch.where(label > 0)[0] for label in labels]
        boxes = [proposal[rows] for proposal, rows in zip(proposals, object_rows, strict=True)]
        truth = [match[rows] for match, rows in zip(matched, object_rows, strict=True)]
        logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(maps, boxes, sizes)))
        masks = [item["masks"] for item in truths]
        loss: Tensor = maskrcnn_loss(logits, boxes, masks, [item["labels"] for item in truths], truth)
        return loss

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        weight = self.rpn.head.cls_logits.weight
        self.rpn.anchor_generator.set_cell_anchors(weight.dtype, weight.device)
        return self


def pooled_regions(maps: list[Tensor], proposals: Tensor, pool: Any) -> Tensor:
    """`MultiScaleRoIAlign` for equally many regions in every image, in a batch of any size.

    Args:
        maps: feature maps of strides 4, 8, 16 and 32.
        proposals: (B, P, 4) x0 y0 x1 y1 pixels.
        pool: the library's pooling; its sizes are taken.

    Returns:
        (B·P, C, 7, 7).
    """
    images, count = proposals.shape[:2]
    flat = proposals.reshape(-1, 4)
    owner = torch.arange(images, device=flat.device, dtype=flat.dtype)[:, None].expand(-1, count)
    regions = torch.cat([owner.reshape(-1, 1), flat], dim=1)
    finest = int(math.log2(STRIDES[0]))
    mapper = LevelMapper(finest, int(math.log2(STRIDES[-1])), pool.canonical_scale, pool.canonical_level)
    level_of = mapper([flat])
    pooled = maps[0].new_zeros(flat.shape[0], maps[0].shape[1], *pool.output_size)
    for level, (x, stride) in enumerate(zip(maps, STRIDES, strict=True)):
        rows = torch.where(level_of == level)[0]
        part = roi_align(x, regions[rows], pool.output_size, 1 / stride, pool.sampling_ratio)
        pooled = pooled.index_copy(0, rows, part.to(pooled.dtype))
    return pooled


def _by_image(targets: Targets, images: int) -> list[dict[str, Tensor]]:
    """The targets as the library takes them; label 0 is the background."""
    counts = targets["image"].bincount(minlength=images).tolist()
    names: list[str] = [name for name in ("boxes", "labels", "weights", "masks") if name in targets]
    columns = {name: torch.split(targets[name], counts) for name in names}
    truths = [{name: column[index] for name, column in columns.items()} for index in range(images)]
    return [truth | {"labels": truth["labels"] + 1} for truth in truths]


def _factors(truths: list[dict[str, Tensor]], matched: list[Tensor]) -> list[Tensor]:
    """The weight of the box that each sample of an image was matched with."""
    return [
        truth["weights"][rows] if len(truth["weights"]) else torch.ones_like(rows, dtype=torch.float32)
        for truth, rows in zip(truths, matched, strict=True)
    ]
