"""AGDP, detector pretraining on pseudo-boxes: its config, and its images out of the boxes table."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from training.augmentation import AugmentSection
from training.backbones import SCRATCH
from training.detection_data import Sample
from training.detectors import Masks, check_detector_name, check_masks, weighs_boxes
from training.loop import LoopSettings

CLASSES = ("anomaly",)
SIDES = ("x0", "y0", "x1", "y1")


class DetectorLoop(LoopSettings):
    """`LoopSettings` with this stage's defaults: 10 epochs as in METHOD.md.

    The paper's SGD (lr 0.01, batch 256) steps on a loss summed over the batch; ours is its mean, for which
    AdamW needs no factor.
    """

    epochs: int = Field(default=10, ge=1, le=100_000)
    batch_size: int = Field(default=32, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=100)
    weight_decay: float = Field(default=0.01, ge=0, le=1)


class DetectorAugment(AugmentSection):
    """`AugmentSection` for few epochs."""

    close_mosaic: int = Field(default=2, ge=0)


class DetectorSection(Section):
    """How the detector is pretrained (METHOD.md, AGDP).

    Attributes:
        name: of the detector; its backbone is that of the backbone stage.
        image_size: side of the input, pixels; images are resized uniformly (stretched to the square).
        freeze_backbone: keep the backbone, batch-norm statistics included, as it starts. None: true, as in
            the method, where the backbone stage had a start; false where it began from scratch, since such a
            backbone has seen too little to be kept.
        confidence_weighted: multiply what a pseudo-box adds to the loss by its score, in units of the mean
            score of all, so that the loss keeps its scale. Not offered by the DETR family.
        masks: what a mask-rcnn's mask head learns: `none`, nothing, it stays as it starts; `boxes`, the
            pseudo-boxes filled out, which is coarser than the maps they come from.
        holdout: share of the images kept from training, on whose pseudo-boxes AP is measured.
        augment: of training images.
        loop: of the training.
    """

    name: str = "yolov8n"
    image_size: int = Field(default=224, ge=32, le=4096, multiple_of=32)
    freeze_backbone: bool | None = None
    confidence_weighted: bool = False
    masks: Masks = "none"
    holdout: float = Field(default=0.1, ge=0, lt=1)
    augment: DetectorAugment = DetectorAugment()
    loop: DetectorLoop = DetectorLoop()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return check_detector_name(name)

    @model_validator(mode="after")
    def _detector_can(self) -> "DetectorSection":
        if self.confidence_weighted and not weighs_boxes(self.name):
            raise ValueError(f"{self.name} can't be trained with confidence_weighted=true")
        check_masks(self.name, self.masks)
        return self

    def freezes(self, backbone_start: str) -> bool:
        """`freeze_backbone`, or what it stands for after a backbone stage with this `start`."""
        return backbone_start != SCRATCH if self.freeze_backbone is None else self.freeze_backbone


def pseudo_samples(
    rows: Iterable[Mapping[str, Any]], left_out: frozenset[str], *, weighted: bool = False
) -> list[Sample]:
    """Rows of the boxes table as images of one class.

    Args:
        rows: of the table.
        left_out: ids of images to drop (the test split).
        weighted: give each box its score over the mean score of all boxes as its weight.
    """
    kept = [row for row in rows if row["image_id"] not in left_out]
    scores = [box["score"] for row in kept for box in row["boxes"]]
    mean = float(np.mean(scores)) if scores else 1.0
    samples = []
    for row in kept:
        weights = np.array([box["score"] / mean for box in row["boxes"]], dtype=np.float32)
        boxes = np.array([[box[side] for side in SIDES] for box in row["boxes"]], dtype=np.float64)
        samples.append(
            Sample(
                image_id=row["image_id"],
                uri=row["uri"],
                width=row["width"],
                height=row["height"],
                boxes=boxes.reshape(-1, 4),
                labels=np.zeros(len(boxes), dtype=np.int64),
                weights=weights if weighted else None,
            )
        )
    return samples
