"""Whether one detector is ahead of another: the interval of the difference in AP, by drawing images anew."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cluster.verdicts import drawn_counts, interval, unanimous_interval
from pipelines.boxes import matched
from training.metrics.coco import MAX_DETECTIONS, Detections, TrueObjects

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
ROUNDING = 1e-12  # sums of the same numbers in another order


@dataclass(frozen=True)
class ClassMatches:
    """One class's detections over all images, best first, matched by the COCO protocol.

    Attributes:
        scores: (D,) score of each, falling; of equal ones the earlier image's comes first.
        images: (D,) image of each.
        right, wrong: (10, D) by IoU threshold; neither on an ignored region.
        objects: (N,) true objects in each image.
    """

    scores: npt.NDArray[np.float64]
    images: Ints
    right: Bools
    wrong: Bools
    objects: Ints

    def precision(self, counts: Ints, thresholds: int = len(THRESHOLDS)) -> float | None:
        """AP@0.5:0.95 where each image counts so many times; None without an object.

        Args:
            counts: (N,) times each image is in the set.
            thresholds: the mean is over so many of the first IoU thresholds; 1 is AP@0.5.
        """
        total = int(counts @ self.objects)
        if not total:
            return None
        weights = counts[self.images]
        right = np.cumsum(self.right[:thresholds] * weights, axis=1)
        every = right + np.cumsum(self.wrong[:thresholds] * weights, axis=1)
        precision = right / np.maximum(every, 1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)  # recalls that are not reached
        recall = right / total
        reached = [np.searchsorted(row, RECALLS, side="left") for row in recall]
        return float(np.mean([row[places] for row, places in zip(best, reached, strict=True)]))


@dataclass(frozen=True)
class MatchedDetections:
    """All classes' matches of one detector."""

    classes: tuple[ClassMatches, ...]

    @classmethod
    def of(
        cls, truths: Sequence[TrueObjects], detections: Sequence[Detections], classes: int
    ) -> "MatchedDetections":
        """Match detections with objects.

        Args:
            truths, detections: one per image, in the same order.
            classes: number of classes.
        """
        return cls(tuple(_class_matches(truths, detections, number) for number in range(classes)))

    def precision(self, counts: Ints, thresholds: int = len(THRESHOLDS)) -> float:
        """Mean AP@0.5:0.95 over the classes with an object; NaN where there is none.

        Args:
            counts, thresholds: see `ClassMatches.precision`.
        """
        known = [value for each in self.classes if (value := each.precision(counts, thresholds)) is not None]
        return float(np.mean(known)) if known else float("nan")


def difference_interval(
    first: MatchedDetections,
    second: MatchedDetections,
    images: int,
    *,
    seed: int = 0,
    groups: Ints | None = None,
    thresholds: int = len(THRESHOLDS),
) -> tuple[float, float] | None:
    """The 95 % interval of first - second in AP, by the paired percentile bootstrap over images.

    Both are measured on the same drawn images (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13). Sets without any object are left out. Where all sets agree, the interval has the width that
    so few images allow: that of the share of them on which the two may differ otherwise, each by 1.

    Args:
        first, second: matches on the same images.
        images: number of images, at least 1.
        seed: seed of the draws.
        groups: (images,) number of each image's group, from 0, where images are drawn in groups; None draws
            each by itself.
        thresholds: see `ClassMatches.precision`.

    Returns:
        Its ends; None of fewer groups with an object than `cluster.verdicts.interval` tells one of.
    """
    units = np.arange(images) if groups is None else groups
    drawn = drawn_counts(int(units.max()) + 1, seed=seed)[:, units]
    shown = np.sum([each.objects for each in first.classes], axis=0) > 0
    telling = len(np.unique(units[shown])) if first.classes else 0
    ends = interval(
        [first.precision(counts, thresholds) - second.precision(counts, thresholds) for counts in drawn],
        telling,
    )
    if ends is None or ends[1] - ends[0] > ROUNDING:
        return ends
    _, otherwise = unanimous_interval(0, telling)
    return max(ends[0] - otherwise, -1.0), min(ends[1] + otherwise, 1.0)


def _class_matches(
    truths: Sequence[TrueObjects], detections: Sequence[Detections], label: int
) -> ClassMatches:
    scores, images, right, wrong = [], [], [], []
    objects = np.zeros(len(truths), np.int64)
    for image, (truth, detected) in enumerate(zip(truths, detections, strict=True)):
        mine = truth.labels == label
        singles, regions = truth.boxes[mine & truth.objects], truth.boxes[mine & ~truth.objects]
        objects[image] = len(singles)
        of_class = np.flatnonzero(detected.labels == label)
        best = of_class[np.argsort(-detected.scores[of_class], kind="stable")][:MAX_DETECTIONS]
        matches = matched(detected.boxes[best], singles, regions, THRESHOLDS)
        scores.append(detected.scores[best])
        images.append(np.full(len(best), image, np.int64))
        right.append(matches.right)
        wrong.append(~matches.right & ~matches.ignored)
    every = np.concatenate(scores)
    order = np.argsort(-every, kind="stable")
    return ClassMatches(
        every[order],
        np.concatenate(images)[order],
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(wrong, axis=1)[:, order],
        objects,
    )
