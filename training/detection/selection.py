"""Which labelled images to learn from: few shots, backgrounds, a held-out slice; by hash and seed alone."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from training.detection.data import Sample


class Identified(Protocol):
    """What has an image's id."""

    @property
    def image_id(self) -> str:
        """Its id in the corpus."""


AnySample = TypeVar("AnySample", bound=Identified)


def shuffled(samples: Iterable[AnySample], seed: int) -> list[AnySample]:
    """The samples in an order that depends on each image's id and the seed, not on the other images."""
    return sorted(samples, key=lambda sample: hashlib.sha256(f"{seed}:{sample.image_id}".encode()).digest())


def few_shot(samples: Sequence[Sample], limit: int | None, seed: int) -> list[Sample]:
    """At most `limit` images with boxes: always one more of the class that the fewest chosen images show.

    Args:
        samples: images with boxes.
        limit: None takes all.
        seed: a larger limit of the same seed holds the smaller one.
    """
    order = shuffled(samples, seed)
    if limit is None:
        return order
    showing: dict[int, list[Sample]] = defaultdict(list)  # by class, first ones at the end
    for sample in reversed(order):
        for label in set(sample.labels.tolist()):
            showing[label].append(sample)
    counts = dict.fromkeys(sorted(showing), 0)
    chosen: dict[str, Sample] = {}
    while counts and len(chosen) < limit:
        label = min(counts, key=lambda one: (counts[one], one))
        while showing[label] and showing[label][-1].image_id in chosen:
            showing[label].pop()
        if not showing[label]:
            del counts[label]
            continue
        sample = showing[label].pop()
        chosen[sample.image_id] = sample
        for label_shown in set(sample.labels.tolist()) & set(counts):
            counts[label_shown] += 1
    return list(chosen.values())


def with_backgrounds(
    samples: Sequence[AnySample], backgrounds: Sequence[AnySample], share: float, seed: int
) -> list[AnySample]:
    """Add images without boxes, until they are `share` of the whole or all are taken."""
    wanted = round(len(samples) * share / (1 - share))
    return [*samples, *shuffled(backgrounds, seed)[:wanted]]


def hold_out(samples: Sequence[Sample], share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split into (learnt from, measured on), images with and without boxes each in this share.

    At least one image with boxes is on either side if there are two and the share is not 0.
    """
    train: list[Sample] = []
    held: list[Sample] = []
    for boxed in (True, False):
        group = shuffled((sample for sample in samples if bool(len(sample.labels)) is boxed), seed)
        count = round(len(group) * share)
        if boxed and share > 0:
            count = min(max(count, 1), len(group) - 1)
        held += group[:count]
        train += group[count:]
    return train, held
