"""What every detector offers, whatever library it comes from, and the registry of their names."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from cluster.errors import UserError
from pipelines.images import Levels
from training.models import (
    Area,
    DetectorTiles,
    Flips,
    Freeze as Freeze,
    LookPrecision,
    Part as Part,
    PartedModel,
    Preprocessing,
    Stages as Stages,
    Targets as Targets,
    adding,
    builder_of,
    check_detector_name,
    detector_adapter,
    detector_adapters,
    on_backbone_adapters,
)
from training.models.detectors.suppression import Predictions as Predictions, suppress
from training.models.detectors.views import fused, mirrored, mirrored_area, mirrored_boxes, views_of

MIN_SCORE = 0.001  # COCO AP integrates over all scores; this is the field's usual floor
MAX_BOXES = 300


class Detector(PartedModel):
    """A detector; see `PartedModel`.

    Attributes:
        preprocessing: how images become its input; the adapter itself normalises their colours.
        nms_iou: overlap above which `predict` suppresses the worse of two boxes of a class; None where the
            detector learns to find each object once.
        ranks: whether `candidates` come in the order of a score, which rounding can change.
        weighs_boxes: whether `forward` heeds the targets' `weights`.
        levels: black and white by which its training images of more than 8 bits were scaled; None where each
            took its own.
        cut: how images are cut into tiles for it; from its file, as its training cut them.
        flips: mirror images that `predict` looks at beside the image, see `views.fused`; a detector that
            learnt from mirrored images finds more so, in a multiple of the time.
        precision: of the network's products in `predict`, float32 or bfloat16.
        licences: licences of the weights behind it, by whose they are; empty where it began from nothing.
        has_masks: whether it learns the targets' `masks` once told so by `learn_masks`.
    """

    preprocessing: Preprocessing
    nms_iou: float | None
    levels: Levels | None = None
    cut: DetectorTiles = DetectorTiles()
    flips: Flips = ()
    precision: LookPrecision = "fp32"
    licences: Mapping[str, str] = {}
    ranks: ClassVar[bool] = False
    weighs_boxes: ClassVar[bool] = False
    has_masks: bool = False

    @abstractmethod
    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """The training loss; it is `forward` so that DDP synchronises its gradients.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1]; sides are multiples of 32.
            targets: N boxes in all: `image` (N,) int64 index in the batch, rising, `labels` (N,) int64,
                `boxes` (N, 4) float32 x0 y0 x1 y1 in input pixels; N may be 0. Where `weighs_boxes`, also
                `weights` (N,) float32 ≥ 0, factors of what each box adds to the loss. After `learn_masks`
                also `masks` (N, H, W) uint8 in {0, 1}.

        Returns:
            The scalar loss (mean over the batch) and its detached parts by name.
        """

    @abstractmethod
    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All boxes that may be detections, before any is suppressed; called in eval mode, traceable.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1].

        Returns:
            Boxes (B, N, 1, 4), or (B, N, C, 4) where each class has its own, x0 y0 x1 y1 in input pixels, and
            scores (B, N, C) in [0, 1]; N is the same for all inputs of one size.
        """

    def predict(
        self,
        images: Tensor,
        *,
        min_score: float = MIN_SCORE,
        max_boxes: int = MAX_BOXES,
        areas: Sequence[Area] | None = None,
    ) -> list[Predictions]:
        """Boxes of each image, see `suppression.suppress` and `flips`; in eval mode, without gradients.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1].
            min_score: only better boxes are kept.
            max_boxes: largest number of boxes per image.
            areas: part of each input that shows the image (`Placement.area`); None takes all of it.

        Raises:
            UserError: the network answers NaN, which is no image without defects.
        """
        if not self.flips:
            return self._predict_view(images, min_score, max_boxes, areas)
        height, width = size = (images.shape[-2], images.shape[-1])
        areas = areas or [(0, 0, width, height)] * len(images)
        answers: list[list[Predictions]] = []
        # All that may count, so that a higher `min_score` leaves the better objects as they are.
        floor, most = min(min_score, MIN_SCORE), max(max_boxes, MAX_BOXES)
        for view in views_of(self.flips):
            places = [mirrored_area(area, view, size) for area in areas]
            found = self._predict_view(mirrored(images, view), floor, most, places)
            answers.append([replace(one, boxes=mirrored_boxes(one.boxes, view, size)) for one in found])
        return [
            fused(views, min_score=min_score, max_boxes=max_boxes) for views in zip(*answers, strict=True)
        ]

    def _predict_view(
        self, images: Tensor, min_score: float, max_boxes: int, areas: Sequence[Area] | None
    ) -> list[Predictions]:
        """What `predict` says of the images as they are."""
        was_training = self.training
        self.eval()
        try:
            bf16 = self.precision == "bf16"
            precise = torch.autocast(images.device.type, torch.bfloat16) if bf16 else nullcontext()
            with torch.no_grad(), precise:
                boxes, scores = (answer.float() for answer in self.candidates(images))
        finally:
            if was_training:
                self.train()
        lost = boxes.isnan().flatten(2).any(-1) & (scores.amax(-1) > min_score)
        if bool((lost | scores.isnan().any(-1)).any()):
            raise UserError(
                f"The detector {self.architecture} answers NaN, so nothing can be said of these images; its "
                "weights are damaged or its training went astray: train it again, or take another."
            )
        height, width = images.shape[-2:]
        return [
            suppress(
                boxes[index],
                scores[index],
                size=(height, width),
                min_score=min_score,
                nms_iou=self.nms_iou,
                max_boxes=max_boxes,
                area=areas[index] if areas else None,
            )
            for index in range(len(images))
        ]

    def predict_masks(self, images: Tensor, detections: Sequence[Predictions]) -> list[Tensor]:
        """How probably each pixel belongs to each box that `predict` found, (N, H, W) in [0, 1] by image.

        Raises:
            UserError: it has no mask head.
        """
        raise UserError(f"{self.architecture} finds no masks; take a mask-rcnn.")

    def export_module(self) -> nn.Module:
        """A module for exporters whose `forward` is `candidates`, in eval mode, sharing the weights.

        Its outputs go through `suppression.suppress` with `nms_iou`, image by image, to give what `predict`
        gives.
        """
        return Candidates(self.eval())

    def fold_norms(self) -> None:
        """Fold batch norms into the convolutions before them, where the adapter can.

        Predictions stay the same but for rounding, and take less time. For a detector that will predict and
        no more: its state dict is no longer the library's, and it can't be trained.
        """

    def learn_masks(self) -> None:
        """Say that targets will have masks; until then a mask head is no part of training.

        Raises:
            UserError: it has no mask head.
        """
        raise UserError(f"{self.architecture} has no masks to learn; set masks=none, or take a mask-rcnn.")

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Follow a schedule of the loss, where the library has one; called before each epoch, from 1."""


class Candidates(nn.Module):
    """See `Detector.export_module`."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`."""
        return self.detector.candidates(images)


Builder = Callable[[str, tuple[str, ...], Preprocessing, Mapping[str, Tensor]], Detector]
BuilderT = TypeVar("BuilderT", bound=Builder)
_BUILDERS: dict[str, Builder] = {}
_ON_BACKBONE: dict[str, Builder] = {}


def register(*names: str) -> Callable[[BuilderT], BuilderT]:
    """Decorator: the function (or class), a `Builder`, builds the detectors of these names."""
    return adding(_BUILDERS, detector_adapters, names, "detectors")


def register_on_backbone(*names: str) -> Callable[[BuilderT], BuilderT]:
    """Decorator: the builder makes detectors called `NAME+BACKBONE` on any backbone."""
    return adding(_ON_BACKBONE, on_backbone_adapters, names, "detectors")


def build_detector(
    name: str,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    like: Mapping[str, Tensor] | None = None,
) -> Detector:
    """A detector with random weights, drawn from torch's global state.

    Args:
        name: one of `names.detector_names()`, e.g. `yolov8n`, or `yolov8s+resnet50`.
        classes: names in label order, at least one, all different.
        preprocessing: how images will become its input; the sides are multiples of 32.
        like: a state dict of this architecture, for any classes. Widths of hidden layers that followed its
            number of classes are taken from it, so that all but the `classes` part can be filled from it.

    Raises:
        UserError: see `names.check_detector_name`; no class, or a class twice.
    """
    adapter, name = detector_adapter(name), check_detector_name(name)
    if not classes or len(set(classes)) != len(classes):
        raise UserError(f"Detector {name} needs one or more classes, all different, not {list(classes)}.")
    family, plus, _ = name.partition("+")
    builder: Builder = builder_of(_ON_BACKBONE if plus else _BUILDERS, family, adapter)
    return builder(name, classes, preprocessing, like or {})
