"""Labelled images for dense tasks: crops biased toward defects for training, whole images for measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from pipelines.annotations import decode_mask
from pipelines.images import Levels
from training.dense.cropping import Mask, Patch, Window, choose_window, flipped, semantic_of, without_ignored
from training.dense.section import CropSection
from training.detection import ColourSection, colour
from training.loop import Batch, SeededDataset
from training.models import Image
from training.pictures import PixelCache, read_pixels

PACKED = ("left", "top", "width", "height", "runs", "stray", "ignored")  # columns of an object
CACHE_BYTES = 512 << 20  # per process; a larger data set is read from its files every epoch


@dataclass(frozen=True)
class PackedPatch:
    """A `Patch` whose mask is COCO's run-length text of its own rectangle."""

    label: int
    box: tuple[float, float, float, float]
    left: int
    top: int
    width: int
    height: int
    runs: str | None
    stray: bool
    ignored: bool = False

    def patch(self) -> Patch:
        """Unpacked."""
        mask: Mask | None = None
        if self.runs is not None:
            mask = decode_mask(self.runs, self.width, self.height)
        return Patch(self.label, self.box, self.left, self.top, mask, self.stray, self.ignored)


@dataclass(frozen=True)
class DenseSample:
    """One labelled image.

    Attributes:
        image_id: the image's id in the corpus.
        uri: the file's address.
        width, height: the image's sides, pixels.
        objects: the labelled objects; none in a normal image.
    """

    image_id: str
    uri: str
    width: int
    height: int
    objects: tuple[PackedPatch, ...]

    @property
    def boxed(self) -> bool:
        """Whether it has an object that is not stray."""
        return any(not one.stray for one in self.objects)

    def patches(self) -> list[Patch]:
        """Its objects, unpacked."""
        return [one.patch() for one in self.objects]

    def pixels(self, levels: Levels | None) -> Image:
        """(height, width, 3).

        Raises:
            UserError: it can't be read any more.
        """
        return read_pixels(self.uri, levels)


def dense_samples(
    rows: Sequence[Mapping[str, Any]], classes: Sequence[str], *, masks: bool
) -> list[DenseSample]:
    """Rows of the `objects` table (see `tuning/transfer/objects.py`) as samples.

    Args:
        rows: the table's rows.
        classes: names in label order; every object's is one of them.
        masks: whether the task needs masks; if so, images with an unmasked object are left out.
    """
    index = {name: number for number, name in enumerate(classes)}
    samples = []
    for row in rows:
        if masks and any(one["runs"] is None for one in row["objects"]):
            continue
        packed = tuple(
            PackedPatch(
                label=index[one["label"]],
                box=(one["x0"], one["y0"], one["x1"], one["y1"]),
                **{key: one[key] for key in PACKED},
            )
            for one in row["objects"]
        )
        samples.append(DenseSample(row["image_id"], row["uri"], row["width"], row["height"], packed))
    return samples


class CropDataset(SeededDataset):
    """A square crop of every image and epoch, flipped and coloured; (seed, epoch, index) alone decide.

    Args:
        samples: the images.
        crop: size and choice of the crops.
        augment: flips and colours of the crops.
        levels: grey levels for deep images.
        semantic: whether items have `semantic`, else `boxes`, `labels` and, where all objects have them,
            `masks`.
        seed: the training's seed.

    Items hold `image` (3, S, S) uint8, `image_id` and either `semantic` (S, S) uint8 (see
    `cropping.semantic_of`), or `boxes` (N, 4) float32, `labels` (N,) int64 and perhaps `masks` (N, S, S)
    uint8. An image that can't be read raises `UserError`.
    """

    def __init__(
        self,
        samples: Sequence[DenseSample],
        *,
        crop: CropSection,
        augment: ColourSection,
        levels: Levels | None,
        semantic: bool,
        seed: int,
    ) -> None:
        super().__init__(seed)
        self.samples, self.crop, self.augment = list(samples), crop, augment
        self.levels, self.semantic = levels, semantic
        self.pixels = PixelCache(
            partial(_read_whole, self.samples, levels, semantic),
            whole_bytes=sum(3 * sample.width * sample.height for sample in self.samples),
            limit_bytes=CACHE_BYTES,
        )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Batch:
        sample, rng = self.samples[index], self.rng(index)
        patches, size, side = sample.patches(), (sample.width, sample.height), self.crop.side
        window = choose_window(size, patches, side, self.crop.defect_share, rng)
        across, down = (rng.random(2) < (self.augment.flip_lr, self.augment.flip_ud)).tolist()
        flip = (slice(None, None, -1 if down else 1), slice(None, None, -1 if across else 1))
        image = colour(np.ascontiguousarray(window.image(self.pixels[index])[flip]), self.augment, rng)
        item: Batch = {
            "image": torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            "image_id": sample.image_id,
        }
        visible = [seen for patch in patches if (seen := window.patch(patch)) is not None]
        if self.semantic:
            labels = self._semantic(window, visible, size)[flip]
            return item | {"semantic": torch.from_numpy(np.ascontiguousarray(labels))}
        objects = [patch for patch in visible if not patch.stray]
        moved = [flipped(patch, (side, side), across=across, down=down) for patch in objects]
        item["boxes"] = torch.tensor([patch.box for patch in moved], dtype=torch.float32).reshape(-1, 4)
        item["labels"] = torch.tensor([patch.label for patch in moved], dtype=torch.int64)
        if all(patch.mask is not None for patch in moved):
            item["masks"] = (
                torch.from_numpy(np.stack([_whole(patch, side) for patch in moved]))
                if moved
                else (torch.zeros(0, side, side, dtype=torch.uint8))
            )
        return item

    def _semantic(self, window: Window, visible: list[Patch], size: tuple[int, int]) -> Any:
        """The crop's map; what lies outside of the image is ignored."""
        inside = Window(0, 0, window.width, window.height)
        width, height = (min(window.width, size[0]), min(window.height, size[1]))
        return inside.semantic(semantic_of(visible, window.width, window.height)[:height, :width])


def _read_whole(samples: Sequence[DenseSample], levels: Levels | None, semantic: bool, index: int) -> Image:
    """An image; for a task of objects without its ignored regions."""
    sample = samples[index]
    pixels = sample.pixels(levels)
    if not semantic and any(one.ignored for one in sample.objects):
        return without_ignored(pixels, sample.patches())
    return pixels


def _whole(patch: Patch, side: int) -> Any:
    """(S, S) uint8 of one object."""
    assert patch.mask is not None
    mask = np.zeros((side, side), np.uint8)
    rows, columns = patch.mask.shape
    mask[patch.top : patch.top + rows, patch.left : patch.left + columns] = patch.mask
    return mask


def collate(items: Sequence[Batch]) -> Batch:
    """Join items: `images` (B, 3, S, S) uint8, `image_ids`, and `semantic` or the targets of `Detector`."""
    batch: Batch = {
        "images": torch.stack([item["image"] for item in items]),
        "image_ids": [item["image_id"] for item in items],
    }
    if "semantic" in items[0]:
        return batch | {"semantic": torch.stack([item["semantic"] for item in items]).long()}
    counts = torch.tensor([len(item["labels"]) for item in items])
    batch["image"] = torch.repeat_interleave(torch.arange(len(items)), counts)
    for name in ("boxes", "labels", "masks"):
        if all(name in item for item in items):
            batch[name] = torch.cat([item[name] for item in items])
    return batch
