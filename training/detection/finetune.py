"""Finetuning on real labels: the classes and images that it learns from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from training.detection.data import Sample
from training.detection.section import FinetuneSection
from training.detection.selection import few_shot, hold_out, with_backgrounds


@dataclass(frozen=True)
class Selection:
    """The classes and images that a finetuning learns from.

    Attributes:
        classes: names in label order, sorted.
        train: images learnt from.
        validation: images of the training split that choose the best epoch.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]

    def counts(self) -> dict[str, int]:
        """Counts for the stage's record."""
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
    return [
        Sample.of(row, boxes, [index[box["label"]] for box in boxes])
        for row in manifest
        if (boxes := labels.get(row["image_id"])) is not None
    ]


def select(
    section: FinetuneSection,
    manifest: Iterable[Mapping[str, Any]],
    labels: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Selection:
    """Choose classes and images from the corpus' training split; the same for every start.

    Args:
        section: the config; its loop's seed decides the choice.
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
    seed = section.loop.resolved_seed
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
