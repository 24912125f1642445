"""Training images cut into tiles: each tile a sample of its own, with the boxes that it shows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipelines.images import tile_corners
from training.detection.data import Sample
from training.detection.selection import with_backgrounds
from training.models import Boxes, DetectorTiles, Preprocessing

MIN_VISIBLE = 0.1  # share of a box that a tile must show for it to be an object there
MIN_SIDE = 2.0  # pixels of a box


def tiled_samples(
    samples: Sequence[Sample], cut: DetectorTiles, preprocessing: Preprocessing
) -> list[Sample]:
    """The tiles of images as samples, in the images' order; images that are not cut stay what they are.

    A box that a border cuts ends there. What is left of one that shows less than `MIN_VISIBLE` of itself is
    ignored, neither object nor background.

    Args:
        samples: whole images.
        cut: how they are cut.
        preprocessing: how a tile becomes an input.
    """
    tiles: list[Sample] = []
    for sample in samples:
        side = cut.size(sample.width, sample.height, preprocessing.shape, preprocessing.resize == "square")
        if side == (sample.width, sample.height):
            tiles.append(sample)
            continue
        corners = tile_corners(sample.width, sample.height, side, cut.tile_overlap)
        tiles += [_tile(sample, left, top, *side) for left, top in corners]
    return tiles


def learnt_tiles(
    samples: Sequence[Sample],
    cut: DetectorTiles,
    preprocessing: Preprocessing,
    empty_share: float,
    seed: int,
) -> list[Sample]:
    """`tiled_samples` to learn from: of tiles without a box at most a share of all, drawn by the seed.

    Args:
        samples, cut, preprocessing: see `tiled_samples`.
        empty_share: the share, below 1.
        seed: the training's.
    """
    if cut.tiles == "off":
        return list(samples)
    tiles = tiled_samples(samples, cut, preprocessing)
    boxed = [tile for tile in tiles if len(tile.labels)]
    return with_backgrounds(boxed, [tile for tile in tiles if not len(tile.labels)], empty_share, seed)


def _tile(sample: Sample, left: int, top: int, width: int, height: int) -> Sample:
    boxes, share = _shown(sample.boxes, left, top, width, height)
    ignored, shown = _shown(sample.ignored, left, top, width, height)
    objects, parts = share >= MIN_VISIBLE, (share > 0) & (share < MIN_VISIBLE)
    return replace(
        sample,
        image_id=f"{sample.image_id}@{left},{top}",
        width=width,
        height=height,
        boxes=boxes[objects],
        labels=sample.labels[objects],
        weights=None if sample.weights is None else sample.weights[objects],
        ignored=np.concatenate([ignored[shown > 0], boxes[parts]]),
        ignored_labels=np.concatenate([sample.ignored_labels[shown > 0], sample.labels[parts]]),
        corner=(left, top),
    )


def _shown(boxes: Boxes, left: int, top: int, width: int, height: int) -> tuple[Boxes, Boxes]:
    """Boxes cut off at a tile's borders, in its pixels, and the share of each that it shows, (N,)."""
    inside = np.clip(boxes - np.array([left, top, left, top]), 0, np.array([width, height, width, height]))
    sides, whole = inside[:, 2:] - inside[:, :2], boxes[:, 2:] - boxes[:, :2]
    share = np.prod(sides, axis=1) / np.maximum(np.prod(whole, axis=1), np.finfo(np.float64).tiny)
    # A box that is thin itself is an object, a thin rest of one is a part.
    rest = (sides < np.minimum(MIN_SIDE, whole)).any(1) & (share > 0)
    return inside, np.where(rest, np.minimum(share, MIN_VISIBLE / 2), share)
