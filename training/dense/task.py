"""Semantic segmentation, instance segmentation and detection as tasks of the one training loop."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from cluster.storage import Storage
from pipelines.images import Levels
from training.dense.adaptation import adapt
from training.dense.cropping import Patch, semantic_of
from training.dense.data import CropDataset, DenseSample, collate
from training.dense.inference import detect_windows, encoded, segment
from training.dense.model import load_dense
from training.dense.section import CropSection, DenseTask, LoraSection, Regime
from training.detection import ColourSection
from training.loop import START_FILE, Batch, Task
from training.metrics import Detections, PixelCounts, TrueObjects, average_precision
from training.models import PartedModel
from training.models.detectors import Detector
from training.models.segmenters import Segmenter

METRIC: dict[DenseTask, str] = {  # the figure that judges a start
    "semantic": "miou",
    "instance": "mask_map50_95",
    "detection": "map50_95",
}


@dataclass(frozen=True)
class DensePlan:
    """What a worker needs to build the task; small and picklable.

    Attributes:
        task: the dense task.
        directory: folder with `start.safetensors`, the model before its first step.
        regime, lora: how much of the backbone learns, see `adapt`.
        probe_epochs: first epochs of `linear_then_full`, in which the backbone is frozen.
        train, held_out: training images, and images to measure on (may be empty).
        crop, augment: cutting and augmentation of the training images.
        levels: grey levels for deep images.
        epochs, seed: the training's length and seed.
    """

    task: DenseTask
    directory: Storage
    regime: Regime
    lora: LoraSection
    probe_epochs: int
    train: tuple[DenseSample, ...]
    held_out: tuple[DenseSample, ...]
    crop: CropSection
    augment: ColourSection
    levels: Levels | None
    epochs: int
    seed: int


class CroppedTask(Task):
    """What the dense tasks share: crops to learn from, whole images to be measured on.

    Args:
        model: a segmenter or detector.
        plan: the training's plan; its start file is not read.
    """

    def __init__(self, model: PartedModel, plan: DensePlan) -> None:
        self.model, self.plan = model, plan
        self.dataset = CropDataset(
            plan.train,
            crop=plan.crop,
            augment=plan.augment,
            levels=plan.levels,
            semantic=plan.task == "semantic",
            seed=plan.seed,
        )

    def collate(self, items: Sequence[Batch]) -> Batch:
        """See `dense_data.collate`."""
        return collate(items)

    def train_mode(self, model: nn.Module) -> None:
        """See `Task.train_mode`; `linear_then_full` freezes the backbone in its first epochs alone.

        Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution": a
        head that has learnt first spares the backbone the gradients of a random one. The epoch alone
        decides, so a resumed training is in the right phase.
        """
        if self.plan.regime == "linear_then_full":
            parted = cast(PartedModel, self.model)
            parted.thaw()
            if self.dataset.epoch <= self.plan.probe_epochs:
                parted.freeze("backbone")
        model.train()

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The model's own loss and its parts."""
        targets = {key: value for key, value in batch.items() if key not in ("images", "image_ids")}
        return cast(tuple[Tensor, dict[str, Tensor]], model(batch["images"].float() / 255, targets))

    @abstractmethod
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """See `Task.evaluate`."""


class SemanticTask(CroppedTask):
    """A segmenter learning the class of every pixel."""

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """`miou`, `miou_defects` and `iou_CLASS` on the held-out images, see `PixelCounts`."""
        segmenter = cast(Segmenter, model)
        counts = PixelCounts(segmenter.classes)
        for sample in self.plan.held_out:
            truth = semantic_of(sample.patches(), sample.width, sample.height)
            image = sample.pixels(self.plan.levels)
            counts.add(truth, segment(segmenter, image, self.plan.crop, device))
        return counts.figures() if self.plan.held_out else {}


class ObjectTask(CroppedTask):
    """A detector learning boxes, or boxes and masks."""

    def train_mode(self, model: nn.Module) -> None:
        """See `Task.train_mode`; the loss follows its schedule."""
        cast(Detector, self.model).set_epoch(self.dataset.epoch, self.plan.epochs)
        super().train_mode(model)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """See `CroppedTask.loss`; a task of boxes alone does not see the masks."""
        if self.plan.task == "detection":
            batch = {key: value for key, value in batch.items() if key != "masks"}
        return super().loss(model, batch)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """`map50`, `map50_95` of boxes and `mask_map50`, `mask_map50_95` of masks, by the COCO protocol."""
        if not any(sample.boxed for sample in self.plan.held_out):
            return {}
        detector, masks = cast(Detector, model), self.plan.task == "instance"
        truths: list[TrueObjects] = []
        detections: list[Detections] = []
        for sample in self.plan.held_out:
            truths.append(_truth(sample, masks=masks))
            image = sample.pixels(self.plan.levels)
            detections.append(detect_windows(detector, image, self.plan.crop, device, masks=masks))
        figures: dict[str, float] = {}
        for prefix, kind in (("", False), ("mask_", True))[: 1 + masks]:
            result = average_precision(truths, detections, detector.classes, masks=kind)
            figures |= {f"{prefix}map50": result.map50, f"{prefix}map50_95": result.map50_95}
        return figures


def _truth(sample: DenseSample, *, masks: bool) -> TrueObjects:
    patches = [patch for patch in sample.patches() if patch.ignored or not patch.stray]
    return TrueObjects(
        np.array([patch.box for patch in patches], dtype=np.float64).reshape(-1, 4),
        np.array([patch.label for patch in patches], dtype=np.int64),
        [encoded(_painted(patch, sample)) for patch in patches] if masks else None,
        np.array([patch.ignored for patch in patches], dtype=np.bool_),
    )


def _painted(patch: Patch, sample: DenseSample) -> Any:
    return (semantic_of([patch], sample.width, sample.height) > 0).astype(np.uint8)


def dense_task(model: PartedModel, plan: DensePlan) -> CroppedTask:
    """The task of a plan, its model adapted as planned.

    Raises:
        UserError: see `adapt`.
    """
    if plan.task == "instance":
        cast(Detector, model).learn_masks()
    adapt(model, plan.regime, plan.lora, plan.seed)
    return (SemanticTask if plan.task == "semantic" else ObjectTask)(model, plan)


def build_dense_task(plan: DensePlan) -> CroppedTask:
    """The task of a plan; called in every worker."""
    with plan.directory.local_copy(START_FILE) as path:
        return dense_task(load_dense(path), plan)
