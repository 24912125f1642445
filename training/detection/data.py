"""Images with boxes as network inputs: read, laid into one size, augmented by (seed, epoch, index) alone."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipelines.images import Levels
from pipelines.tables import box_array
from training.detection.augment import Labelled, Labels, clip, colour, mosaic, place
from training.detection.augment_section import BoxAugment
from training.detection.section import DRAWN_EACH
from training.loop import Batch, SeededDataset
from training.models import FILL, Boxes, Image, Preprocessing
from training.pictures import PixelCache, read_pixels

CACHE_BYTES = 512 << 20  # per process; a larger data set is read from its files every epoch


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    Attributes:
        image_id: its id in the corpus.
        uri: its file.
        width, height: its sides, pixels.
        boxes: (N, 4) float64 x0 y0 x1 y1, pixels of the original; N = 0 is a background.
        labels: (N,) int64.
        weights: (N,) float32, each box's weight in the loss; None where all count the same. All samples of
            a data set have them, or none.
        levels: black and white where the image has more than 8 bits; None takes its own.
        ignored: (M, 4) regions with defects that are no objects, as `boxes`.
        ignored_labels: (M,) int64; -1 for a class that is not learnt.
        corner: left and top of the tile that this is, pixels of its file; None is the whole image. `width`,
            `height` and all boxes are the tile's.
    """

    image_id: str
    uri: str
    width: int
    height: int
    boxes: Boxes
    labels: Labels
    weights: npt.NDArray[np.float32] | None = None
    levels: Levels | None = None
    ignored: Boxes = field(default_factory=lambda: np.zeros((0, 4)))
    ignored_labels: Labels = field(default_factory=lambda: np.zeros(0, np.int64))
    corner: tuple[int, int] | None = None

    def pixels(self) -> Image:
        """(height, width, 3) uint8 RGB, the tile's where it is one.

        Raises:
            UserError: the file can't be read.
        """
        whole = read_pixels(self.uri, self.levels)
        if self.corner is None:
            return whole
        left, top = self.corner
        return whole[top : top + self.height, left : left + self.width]

    @classmethod
    def of(
        cls,
        row: Mapping[str, Any],
        boxes: Iterable[Mapping[str, Any]],
        labels: Sequence[int],
        weights: npt.NDArray[np.float32] | None = None,
        ignored: Iterable[Mapping[str, Any]] = (),
        ignored_labels: Sequence[int] = (),
    ) -> "Sample":
        """An image of a table with its boxes.

        Args:
            row: a row with `image_id`, `uri`, `width`, `height` and, where known, `levels`.
            boxes: N boxes with their sides x0, y0, x1, y1.
            labels: N class numbers.
            weights: see the attribute.
            ignored: M regions with their sides.
            ignored_labels: M class numbers.
        """
        return cls(
            image_id=row["image_id"],
            uri=row["uri"],
            width=row["width"],
            height=row["height"],
            boxes=box_array(boxes),
            labels=np.array(labels, dtype=np.int64),
            weights=weights,
            levels=None if (pair := row.get("levels")) is None else (pair[0], pair[1]),
            ignored=box_array(ignored),
            ignored_labels=np.array(ignored_labels, dtype=np.int64),
        )


class DetectionDataset(SeededDataset):
    """Augmented (or plain) inputs of one size.

    Args:
        samples: the images.
        preprocessing: how an image becomes an input.
        augment: None gives the plain images.
        epochs: the training's number of epochs (counted from 1); the last ones have no mosaic.
        seed: the training's random seed.
        hide_ignored: whether ignored regions are grey outside of the boxes, so that their defects are not
            learnt as background.
        drawn: further images, of which `DRAWN_EACH` for each of `samples` come in an epoch, all in turn.

    Items hold `image` (3, H, W) uint8, `boxes` (N, 4) float32 in input pixels, `labels` (N,) int64,
    `image_id` and, where samples have them, `weights` (N,) float32. An image that can't be read raises
    `UserError`.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        preprocessing: Preprocessing,
        augment: BoxAugment | None = None,
        epochs: int = 1,
        seed: int = 0,
        hide_ignored: bool = False,
        drawn: Sequence[Sample] = (),
    ) -> None:
        super().__init__(seed)
        self.samples, self.own = [*samples, *drawn], len(samples)
        self.draws = min(len(drawn), DRAWN_EACH * self.own)
        self.turns = np.random.default_rng(seed).permutation(len(drawn))
        self.preprocessing, self.augment, self.epochs = preprocessing, augment, epochs
        self.pixels = PixelCache(
            partial(_read_placed, self.samples, preprocessing, hide_ignored),
            whole_bytes=len(self.samples) * 3 * math.prod(preprocessing.shape),
            limit_bytes=CACHE_BYTES,
        )

    def __len__(self) -> int:
        return self.own + self.draws

    def sample_number(self, index: int) -> int:
        """The number of an item's image in `samples`; of those that are drawn it changes with the epoch."""
        if index < self.own:
            return index
        turn = self.epoch * self.draws + index - self.own
        return self.own + int(self.turns[turn % len(self.turns)])

    def __getitem__(self, index: int) -> Batch:
        image, boxes, labels = self._plain(index)
        if self.augment is not None:
            rng = self.rng(index)
            mosaics = self.epoch <= self.epochs - self.augment.close_mosaic
            item = image, boxes, labels
            if rng.random() < self.augment.mosaic and mosaics:
                others = rng.integers(len(self), size=3)
                item = mosaic([item, *(self._plain(int(other)) for other in others)], rng)
            image, boxes, labels = place(item, self.preprocessing.shape, self.augment, rng)
            image = colour(image, self.augment, rng)
        weighted = {"weights": torch.from_numpy(labels[:, 1].astype(np.float32))} if labels.ndim == 2 else {}
        return weighted | {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "boxes": torch.from_numpy(boxes.astype(np.float32)),
            "labels": torch.from_numpy((labels[:, 0] if weighted else labels).astype(np.int64)),
            "image_id": self.samples[self.sample_number(index)].image_id,
        }

    def ignored(self, index: int) -> tuple[Boxes, Labels]:
        """The ignored regions of an image whose class is learnt: (M, 4) in input pixels, and labels (M,)."""
        sample = self.samples[index]
        known = sample.ignored_labels >= 0
        placement = self.preprocessing.place(sample.width, sample.height)
        return placement.boxes(sample.ignored[known]), sample.ignored_labels[known]

    def _plain(self, index: int) -> Labelled:
        number = self.sample_number(index)
        sample = self.samples[number]
        placement = self.preprocessing.place(sample.width, sample.height)
        labels: npt.NDArray[Any] = sample.labels
        if sample.weights is not None:  # a second column, which goes with the label through all that follows
            labels = np.stack([sample.labels, sample.weights], axis=1)
        return self.pixels[number], *clip(placement.boxes(sample.boxes), labels, placement.shape)


def _read_placed(
    samples: Sequence[Sample], preprocessing: Preprocessing, hide_ignored: bool, index: int
) -> Image:
    sample = samples[index]
    placement = preprocessing.place(sample.width, sample.height)
    image = placement.image(sample.pixels())
    if hide_ignored and len(sample.ignored):
        return hidden(image, placement.boxes(sample.ignored), placement.boxes(sample.boxes))
    return image


def hidden(image: Image, regions: Boxes, boxes: Boxes) -> Image:
    """The image with `FILL` in every pixel that a region touches, except in pixels that a box touches.

    Args:
        image: (H, W, 3) uint8.
        regions, boxes: (N, 4) in its pixels.
    """
    gone = np.zeros(image.shape[:2], np.bool_)
    for sides, value in ((regions, True), (boxes, False)):
        low, high = np.floor(sides[:, :2]).clip(0), np.ceil(sides[:, 2:]).clip(0)
        for (x0, y0), (x1, y1) in zip(low.astype(int).tolist(), high.astype(int).tolist(), strict=True):
            gone[y0:y1, x0:x1] = value
    return np.where(gone[..., None], np.uint8(FILL), image)


def collate(items: Sequence[Batch]) -> Batch:
    """Join items: `images` (B, 3, H, W) uint8, and the targets of `Detector.forward`."""
    counts = torch.tensor([len(item["labels"]) for item in items])
    weighted = {"weights": torch.cat([item["weights"] for item in items])} if "weights" in items[0] else {}
    return weighted | {
        "images": torch.stack([item["image"] for item in items]),
        "image": torch.repeat_interleave(torch.arange(len(items)), counts),
        "labels": torch.cat([item["labels"] for item in items]),
        "boxes": torch.cat([item["boxes"] for item in items]),
        "image_ids": [item["image_id"] for item in items],
    }
