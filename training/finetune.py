"""Finetuning on real labels: its config, the classes and the images it learns from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from cluster.errors import UserError
from training.augmentation import AugmentSection
from training.detection_data import Sample
from training.detectors import Freeze, Masks, check_detector_name, check_masks
from training.labelled_data import LabelledDataSection
from training.letterbox import Preprocessing, Resize
from training.loop import LoopSettings
from training.selection import few_shot, hold_out, with_backgrounds

SCRATCH, AGBP, AGSSP = "scratch", "agbp", "agssp"
OWN_STARTS = (SCRATCH, AGBP, AGSSP)
PUBLISHED = ("imagenet", "coco")  # by the model's own library
SIDES = ("x0", "y0", "x1", "y1")

Side = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]


class FinetuneLoop(LoopSettings):
    """`LoopSettings` with this stage's defaults: 500 epochs, batch 32, the best epoch kept (METHOD.md).

    AdamW instead of the paper's SGD (lr 0.0025 on a loss summed over the batch; ours is its mean).
    """

    epochs: int = Field(default=500, ge=1, le=100_000)
    batch_size: int = Field(default=32, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=100)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    warmup_epochs: float = Field(default=3.0, ge=0)
    ema_decay: float | None = Field(default=0.999, gt=0, lt=1)
    eval_every: int = Field(default=5, ge=1)
    best_metric: str | None = "map50_95"


class FinetuneSection(Section):
    """How a detector is finetuned, from each of several starts alike.

    Attributes:
        name: of the detector.
        image_size: side of the square input, or its height and width (`[256, 1600]` for strips), pixels.
        resize: `letterbox` keeps the aspect, `square` stretches.
        starts: compared starts: `scratch`, `agbp` (pretrained backbone), `agssp` (pretrained detector),
            `imagenet` and `coco` (published by the library), names of `weights`.
        weights: further starts, name → file, stage directory or registered model, in the library's keys; see
            `starts.resolve_start`.
        data: labelled images to learn from and to be measured on; None takes the corpus' own labels.
        limit: number of training images with boxes, chosen by seed, classes in turn; None takes all.
        background_share: largest share of training images without boxes.
        validation_share: share of the *training* split by whose AP the best epoch is chosen; the test split
            is never looked at. 0 trains on all and keeps the last epoch.
        freeze: what stays as it starts, batch-norm statistics included: `none`, `backbone`, `backbone+neck`,
            or a number: the backbone's first so many stages.
        masks: what a mask-rcnn's mask head learns: `none`, nothing; `boxes`, the boxes filled out.
        augment: of training images.
        loop: of the training; `best_metric` is `map50`, `map50_95` or None.
    """

    name: str = "yolov8n"
    image_size: Side | tuple[Side, Side] = 640
    resize: Resize = "letterbox"
    starts: tuple[str, ...] = (SCRATCH, AGBP, AGSSP)
    weights: dict[str, str] = Field(default={})
    data: LabelledDataSection | None = None
    limit: int | None = Field(default=None, ge=1)
    background_share: float = Field(default=0.2, ge=0, lt=1)
    validation_share: float = Field(default=0.15, ge=0, lt=1)
    freeze: Freeze = "none"
    masks: Masks = "none"
    augment: AugmentSection = AugmentSection()
    loop: FinetuneLoop = FinetuneLoop()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return check_detector_name(name)

    @model_validator(mode="after")
    def _starts_exist(self) -> "FinetuneSection":
        check_masks(self.name, self.masks)
        if not self.starts or len(set(self.starts)) != len(self.starts):
            raise ValueError("starts must name one or more starts, all different")
        if own := sorted(set(self.weights) & set(OWN_STARTS)):
            raise ValueError(f'weights can\'t be named "{own[0]}", which is a start of its own')
        valid = (*OWN_STARTS, *PUBLISHED, *self.weights)
        if unknown := [start for start in self.starts if start not in valid]:
            raise ValueError(
                f'there is no start "{unknown[0]}"; valid: {", ".join(valid)}, or a name of finetune.weights'
            )
        if self.loop.best_metric is not None and self.validation_share == 0:
            raise ValueError(
                "validation_share=0 leaves nothing to choose the best epoch by; set loop.best_metric=null"
            )
        return self

    @property
    def given(self) -> dict[str, str]:
        """The starts that are neither made here nor random, as words for `starts.resolve_start`."""
        words = {start: start for start in self.starts if start in PUBLISHED}
        return {start: word for start, word in {**words, **self.weights}.items() if start in self.starts}

    @property
    def preprocessing(self) -> Preprocessing:
        """How images become inputs."""
        return Preprocessing(self.image_size, self.resize)


@dataclass(frozen=True)
class Selection:
    """What a finetuning learns from.

    Attributes:
        classes: names in label order, sorted.
        train: images learnt from.
        validation: images of the training split that choose the best epoch.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]

    def counts(self) -> dict[str, int]:
        """For the stage's record."""
        return {
            "classes": len(self.classes),
            "train_images": len(self.train),
            "train_backgrounds": sum(not len(sample.labels) for sample in self.train),
            "train_boxes": sum(len(sample.labels) for sample in self.train),
            "validation_images": len(self.validation),
        }


def labelled_samples(
    manifest: Iterable[Mapping[str, Any]],
    labels: Mapping[str, Sequence[Mapping[str, Any]]],
    classes: Sequence[str],
) -> list[Sample]:
    """Labelled rows of the manifest as samples.

    Args:
        manifest: rows of the manifest table; those without labels are left out.
        labels: image_id → boxes of the labels table.
        classes: names in label order; every label is one of them.
    """
    index = {name: number for number, name in enumerate(classes)}
    samples = []
    for row in manifest:
        if row["image_id"] not in labels:
            continue
        found = labels[row["image_id"]]
        boxes = np.array([[box[side] for side in SIDES] for box in found], dtype=np.float64).reshape(-1, 4)
        samples.append(
            Sample(
                image_id=row["image_id"],
                uri=row["uri"],
                width=row["width"],
                height=row["height"],
                boxes=boxes,
                labels=np.array([index[box["label"]] for box in found], dtype=np.int64),
            )
        )
    return samples


def select(
    section: FinetuneSection,
    manifest: Iterable[Mapping[str, Any]],
    labels: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Selection:
    """Choose classes and images from the corpus' training split; the same for every start.

    Args:
        section: the config; its loop's seed decides.
        manifest: rows of the whole manifest table.
        labels: image_id → boxes.

    Raises:
        UserError: no labelled box in the training split, or too few images to validate on.
    """
    rows = [row for row in manifest if row["split"] == "train"]
    names = {box["label"] for row in rows for box in labels.get(row["image_id"], ())}
    if not names:
        raise UserError(
            "The corpus has no labelled boxes in its train split to finetune on; give masks or boxes with "
            "the images or in finetune.data, or lower the test_share."
        )
    classes = tuple(sorted(names))
    samples = labelled_samples(rows, labels, classes)
    seed = section.loop.seed or 0
    chosen = few_shot([sample for sample in samples if len(sample.labels)], section.limit, seed)
    if section.validation_share > 0 and len(chosen) < 2:
        raise UserError(
            "One image with boxes can't be split into training and validation; raise finetune.limit, or set "
            "finetune.validation_share=0 and finetune.loop.best_metric=null."
        )
    backgrounds = [sample for sample in samples if not len(sample.labels)]
    every = with_backgrounds(chosen, backgrounds, section.background_share, seed)
    train, validation = hold_out(every, section.validation_share, seed)
    return Selection(classes, tuple(train), tuple(validation))
