"""Finetuning on real labels: the classes and images that it learns from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from training.detection.data import Sample
from training.detection.section import FinetuneSection
from training.detection.selection import few_shot, hold_out, with_backgrounds

Regions = Mapping[str, Sequence[Mapping[str, Any]]]
NO_REGIONS: Regions = {}


@dataclass(frozen=True)
class Selection:
    """The classes and images that a finetuning learns from.

    Attributes:
        classes: names in label order, sorted.
        train: images learnt from.
        validation: images of the training split that choose the best epoch.
        only_ignored: number of images left out, as their only defects are in ignored regions: they show no
            object, and are no background.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    only_ignored: int = 0

    def counts(self) -> dict[str, int]:
        """Counts for the stage's record."""
        return {
            "classes": len(self.classes),
            "train_images": len(self.train),
            "train_backgrounds": sum(not len(sample.labels) for sample in self.train),
            "train_boxes": sum(len(sample.labels) for sample in self.train),
            "train_ignored": sum(len(sample.ignored) for sample in self.train),
            "only_ignored_images": self.only_ignored,
            "validation_images": len(self.validation),
        }


def labelled_samples(
    manifest: Iterable[Mapping[str, Any]],
    labels: Mapping[str, Sequence[Mapping[str, Any]]],
    classes: Sequence[str],
    ignored: Regions,
) -> list[Sample]:
    """Labelled rows of the manifest as samples.

    Args:
        manifest: rows of the manifest table; those without labels are left out.
        labels: image_id → boxes of the labels table.
        classes: names in label order; every box's label is one of them.
        ignored: image_id → regions of the labels table that are no objects.
    """
    index = {name: number for number, name in enumerate(classes)}
    return [
        Sample.of(
            row,
            boxes,
            [index[box["label"]] for box in boxes],
            ignored=(regions := ignored.get(row["image_id"], ())),
            ignored_labels=[index.get(region["label"], -1) for region in regions],
        )
        for row in manifest
        if (boxes := labels.get(row["image_id"])) is not None
    ]


def select(
    section: FinetuneSection,
    manifest: Iterable[Mapping[str, Any]],
    labels: Mapping[str, Sequence[Mapping[str, Any]]],
    ignored: Regions = NO_REGIONS,
) -> Selection:
    """Choose classes and images from the corpus' training split; the same for every start.

    Args:
        section: the config; its loop's seed decides the choice.
        manifest: rows of the whole manifest table.
        labels: image_id → boxes.
        ignored: image_id → regions that are no objects.

    Raises:
        UserError: no labelled box in the training split, or too few images to validate on.
    """
    rows = [row for row in manifest if row["split"] == "train"]
    names = {box["label"] for row in rows for box in labels.get(row["image_id"], ())}
    if not names:
        raise UserError(
            "The corpus has no labelled boxes in its train split to finetune on; give masks or boxes with "
            "the images or in finetune.data, or hold fewer of them out (split, test_share)."
        )
    classes = tuple(sorted(names))
    samples = labelled_samples(rows, labels, classes, ignored)
    seed = section.loop.resolved_seed
    chosen = few_shot([sample for sample in samples if len(sample.labels)], section.limit, seed)
    if section.validation_share > 0 and len(chosen) < 2:
        raise UserError(
            "One image with boxes can't be split into training and validation; raise finetune.limit, or set "
            "finetune.validation_share=0 and finetune.loop.best_metric=null."
        )
    unboxed = [sample for sample in samples if not len(sample.labels)]
    backgrounds = [sample for sample in unboxed if not len(sample.ignored)]
    every = with_backgrounds(chosen, backgrounds, section.background_share, seed)
    train, validation = hold_out(every, section.validation_share, seed)
    return Selection(classes, tuple(train), tuple(validation), len(unboxed) - len(backgrounds))
