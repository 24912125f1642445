"""What backbone pretraining reads: images of the unlabelled splits, each with its anomaly map."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.annotations import decode_mask
from pipelines.images import Levels, resized
from pipelines.maps import map_grids
from pipelines.tables import CorpusTables
from training.agbp.section import ViewAugment
from training.agbp.views import Map, geometric, lay_over, photometric, resize_square
from training.loop import Batch, SeededDataset
from training.models import Image
from training.pictures import PixelCache, read_pixels

CACHE_BYTES = 2 << 30  # per process; a larger data set is read from its files every epoch
HELD_OUT_MAX = 64
ROWS_AT_ONCE = 256  # maps turned from float32, which takes twice their memory
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class PretrainImages:
    """Images and maps of the corpus that pretraining may see, in the order of the ids' hashes.

    Attributes:
        image_ids, uris: one for each image.
        categories: indices into `names`, (N,) int64.
        names: names of the object categories, sorted.
        maps: (N, g, g) float16, ≥ 0; of tiled images (rows, columns) each, of its own grid.
        levels: black and white of each image where it has more than 8 bits; None takes its own.
    """

    image_ids: tuple[str, ...]
    uris: tuple[str, ...]
    categories: npt.NDArray[np.int64]
    names: tuple[str, ...]
    maps: npt.NDArray[np.float16] | tuple[npt.NDArray[np.float16], ...]
    levels: tuple[Levels | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.image_ids)


def read_pretrain_images(corpus: Storage, maps: Storage) -> PretrainImages:
    """Join the corpus' manifest and the maps; the test split is left out.

    Raises:
        UserError: fewer than two images are left.
    """
    tables = CorpusTables(corpus)
    allowed, levels = tables.pretraining(), tables.levels()
    table = maps.read_table("maps", columns=["image_id", "uri", "category", "map"])
    rows = table.select(["image_id", "uri", "category"]).to_pydict()
    digests = {image_id: hashlib.sha256(image_id.encode()).digest() for image_id in rows["image_id"]}
    order = [index for index, image_id in enumerate(rows["image_id"]) if image_id in allowed]
    order.sort(key=lambda index: digests[rows["image_id"][index]])
    if len(order) < 2:
        raise UserError(
            f"The corpus has {len(order)} images with anomaly maps outside its test split; pretraining needs "
            "at least 2, so add images or hold out fewer (corpus.split, corpus.test_share)."
        )
    names = tuple(sorted({rows["category"][index] for index in order}))
    number = {name: index for index, name in enumerate(names)}
    return PretrainImages(
        image_ids=tuple(rows["image_id"][index] for index in order),
        uris=tuple(rows["uri"][index] for index in order),
        levels=tuple(levels.get(rows["image_id"][index]) for index in order),
        categories=np.array([number[rows["category"][index]] for index in order], dtype=np.int64),
        names=names,
        maps=_maps_in(table, order),
    )


def _maps_in(
    table: pa.Table, order: Sequence[int]
) -> npt.NDArray[np.float16] | tuple[npt.NDArray[np.float16], ...]:
    parts = [table.slice(start, ROWS_AT_ONCE) for start in range(0, table.num_rows, ROWS_AT_ONCE)]
    grids = [grid.astype(np.float16) for part in parts for grid in map_grids(part)]
    ordered = [grids[index] for index in order]
    return np.stack(ordered) if len({grid.shape for grid in ordered}) == 1 else tuple(ordered)


def held_out_count(images: int) -> int:
    """How many of the first images (the order is that of hashes) are held out: a tenth, from 1 to 64."""
    return min(HELD_OUT_MAX, max(1, int(images * HELD_OUT_SHARE)))


class PretrainDataset(SeededDataset):
    """Items with `images` (V, 3, S, S) uint8, `maps` (V, S, S) float32, `category` int, `image_id`.

    Each view is cropped and flipped together with its map. Where patches are to be hidden, an item also has a
    `mask` (S/patch, S/patch), bool, True where hidden.

    Args:
        images: all images of the corpus.
        indices: this dataset's images among them.
        size: S, pixels; a multiple of `mask_patch`.
        augment: None gives every image as it is.
        seed: the training's random seed.
        views: V, the number of views, each augmented anew.
        mask_patch: side of the squares that are hidden, pixels; None hides none.
        mask_ratio: share of the squares that is hidden, rounded up.
    """

    def __init__(
        self,
        images: PretrainImages,
        indices: Sequence[int],
        size: int,
        augment: ViewAugment | None,
        seed: int,
        views: int = 1,
        mask_patch: int | None = None,
        mask_ratio: float = 0.0,
    ) -> None:
        super().__init__(seed)
        self.images, self.indices, self.size, self.augment = images, indices, size, augment
        self.views, self.mask_patch, self.mask_ratio = views, mask_patch, mask_ratio
        self.pixels = PixelCache(
            partial(_read_square, images.uris, images.levels, size),
            whole_bytes=len(indices) * size * size * 3,
            limit_bytes=CACHE_BYTES,
        )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Batch:
        """One item.

        Raises:
            UserError: the image can't be read any more.
        """
        at = self.indices[index]
        image = self.pixels[at]
        anomaly_map = lay_over(self.images.maps[at].astype(np.float32), self.size)
        rng = self.rng(index)
        views = [self._view(image, anomaly_map, rng) for _ in range(self.views)]
        item = {
            "images": torch.stack([torch.from_numpy(view).permute(2, 0, 1) for view, _ in views]),
            "maps": torch.stack([torch.from_numpy(laid) for _, laid in views]),
            "category": int(self.images.categories[at]),
            "image_id": self.images.image_ids[at],
        }
        if self.mask_patch is not None:
            item["mask"] = torch.from_numpy(random_mask(self.size // self.mask_patch, self.mask_ratio, rng))
        return item

    def _view(self, image: Image, anomaly_map: Map, rng: np.random.Generator) -> tuple[Image, Map]:
        if self.augment is None:
            return image, anomaly_map
        image, anomaly_map = geometric(image, anomaly_map, rng, self.augment)
        return photometric(image, rng, self.augment), anomaly_map


def _read_square(uris: Sequence[str], levels: Sequence[Levels | None] | None, size: int, at: int) -> Image:
    return resize_square(read_pixels(uris[at], levels[at] if levels else None), size)


def random_mask(side: int, ratio: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(side, side), True in a random `ratio` of the cells, rounded up."""
    hidden = np.zeros(side * side, dtype=np.bool_)
    hidden[rng.permutation(side * side)[: math.ceil(side * side * ratio)]] = True
    return hidden.reshape(side, side)


def collate(items: Sequence[Batch]) -> Batch:
    """Items of `PretrainDataset` as a batch.

    Returns:
        `images` (V · B, 3, S, S) uint8 and `maps` (V · B, S, S), first views first; `categories` (B,);
        `image_ids`; `masks` (B, …) where items have one.
    """
    batch = {
        "images": torch.stack([item["images"] for item in items], dim=1).flatten(0, 1),
        "maps": torch.stack([item["maps"] for item in items], dim=1).flatten(0, 1),
        "categories": torch.tensor([item["category"] for item in items]),
        "image_ids": [item["image_id"] for item in items],
    }
    if "mask" in items[0]:
        batch["masks"] = torch.stack([item["mask"] for item in items])
    return batch


def read_masks(corpus: Storage, image_ids: Sequence[str], size: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Defect masks of those images that have one; for measuring, never for learning.

    Args:
        corpus: the stage's artifact directory.
        image_ids: ids of the images wanted.
        size: S, pixels; masks are stretched to it, a pixel with any defect in it counts.

    Returns:
        image_id → (S, S) bool; images without defects or without a mask are left out.
    """
    wanted = set(image_ids)
    tables = CorpusTables(corpus)
    rows = tables.manifest(columns=("image_id", "width", "height"))
    shapes = {row["image_id"]: (row["width"], row["height"]) for row in rows if row["image_id"] in wanted}
    covered = {}
    for image_id, runs in tables.masks().items():
        if image_id in wanted:
            mask = decode_mask(runs, *shapes[image_id])
            defective = resized(mask.astype(np.float32), size, size, by_areas=True) > 0
            if defective.any():
                covered[image_id] = defective
    return covered
