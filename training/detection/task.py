"""Training a detector on boxes: the task that pretraining on pseudo-boxes and finetuning share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cluster.storage import Storage
from training.detection.augment_section import BoxAugment
from training.detection.data import DetectionDataset, Sample, collate
from training.loop import START_FILE, Batch, Task
from training.metrics import Detections, TrueObjects, average_precision, true_objects
from training.models import Freeze, Masks
from training.models.detectors import Detector
from training.starts import load_detector

EVAL_BATCH = 16


@dataclass(frozen=True)
class DetectionPlan:
    """What a worker needs to build the task; small and picklable.

    Attributes:
        directory: folder of `start.safetensors`, the detector before its first step.
        freeze: the parts that stay as they start.
        masks: what a mask head learns: `boxes`, the boxes filled out, or `none`.
        train, held_out: images learnt from, and images measured on (may be empty).
        drawn: further images to learn from, drawn anew every epoch, see `DetectionDataset`.
        augment: augmentation of the training images.
        epochs, seed: the training's number of epochs and random seed.
    """

    directory: Storage
    freeze: Freeze
    masks: Masks
    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    augment: BoxAugment
    epochs: int
    seed: int
    drawn: tuple[Sample, ...] = ()


class DetectionTask(Task):
    """A detector learning boxes.

    Args:
        model: the detector.
        dataset: training images.
        held_out: plain images for `evaluate`; no box among them means no metrics.
        masks: see `DetectionPlan`.
    """

    def __init__(
        self,
        model: Detector,
        dataset: DetectionDataset,
        held_out: Sequence[Sample],
        masks: Masks = "none",
    ) -> None:
        self.model, self.dataset, self.masks = model, dataset, masks
        self.held_out = DetectionDataset(held_out, preprocessing=model.preprocessing)

    def collate(self, items: Sequence[Batch]) -> Batch:
        """See `detection_data.collate`."""
        return collate(items)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The detector's own loss, e.g. parts `box`, `cls`, `dfl`."""
        names = ("image", "labels", "boxes", "weights")
        targets = {name: batch[name] for name in names if name in batch}
        if self.masks == "boxes":
            targets["masks"] = filled(targets["boxes"], batch["images"].shape[-2:])
        return cast(tuple[Tensor, dict[str, Tensor]], model(batch["images"].float() / 255, targets))

    def train_mode(self, model: nn.Module) -> None:
        """See `Task.train_mode`; the loss follows its schedule."""
        epochs = cast(DetectionDataset, self.dataset).epochs
        cast(Detector, self.model).set_epoch(self.dataset.epoch, epochs)
        model.train()

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """`map50` and `map50_95` on the held-out images, COCO protocol."""
        if not any(len(sample.labels) for sample in self.held_out.samples):
            return {}
        detector = cast(Detector, model)
        truths: list[TrueObjects] = []
        detections: list[Detections] = []
        loader: DataLoader[Any] = DataLoader(self.held_out, batch_size=EVAL_BATCH, collate_fn=collate)
        for batch in loader:
            inputs = batch["images"].to(device).float() / 255
            samples = self.held_out.samples[len(truths) : len(truths) + len(inputs)]
            areas = [detector.preprocessing.place(each.width, each.height).area for each in samples]
            for index, predicted in enumerate(detector.predict(inputs, areas=areas)):
                of_image = batch["image"] == index
                ignored, ignored_labels = self.held_out.ignored(len(truths))
                truths.append(
                    true_objects(
                        batch["boxes"][of_image].double().numpy(),
                        batch["labels"][of_image].numpy(),
                        ignored,
                        ignored_labels,
                    )
                )
                boxes, scores = (
                    predicted.boxes.double().cpu().numpy(),
                    predicted.scores.double().cpu().numpy(),
                )
                detections.append(Detections(boxes, scores, predicted.labels.cpu().numpy()))
        result = average_precision(truths, detections, detector.classes)
        return {"map50": result.map50, "map50_95": result.map50_95}


def filled(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """(N, H, W) uint8 masks of (N, 4) boxes: 1 in each pixel whose centre is inside."""
    y = torch.arange(size[0], device=boxes.device)[None, :, None] + 0.5
    x = torch.arange(size[1], device=boxes.device)[None, None, :] + 0.5
    x0, y0, x1, y1 = (side[:, None, None] for side in boxes.unbind(1))
    return ((x >= x0) & (x < x1) & (y >= y0) & (y < y1)).to(torch.uint8)


def build_detection_task(plan: DetectionPlan) -> DetectionTask:
    """The task of a plan; called in every worker."""
    with plan.directory.local_copy(START_FILE) as path:
        detector = load_detector(path)
    if plan.masks == "boxes":
        detector.learn_masks()
    detector.freeze(plan.freeze)
    dataset = DetectionDataset(
        plan.train,
        preprocessing=detector.preprocessing,
        augment=plan.augment,
        epochs=plan.epochs,
        seed=plan.seed,
        hide_ignored=True,
        drawn=plan.drawn,
    )
    return DetectionTask(detector, dataset, plan.held_out, plan.masks)
