"""Which images make up which batch of which worker."""

import itertools

import torch

from cluster.errors import UserError
from training.loop.seeds import epoch_seed


def epoch_batches(
    images: int, batch_size: int, seed: int, epoch: int, rank: int, world: int
) -> list[list[int]]:
    """The indices of each batch of one worker in one epoch.

    All workers draw the same permutation; each one's share of a global batch is `batch_size // world` of its
    images. Every worker leaves out the images that don't fill a global batch.

    Raises:
        UserError: fewer images, or a smaller batch, than workers; or the batch can't be split evenly.
    """
    if batch_size % world:
        raise UserError(
            f"batch_size={batch_size} can't be split evenly over {world} workers; make it a multiple."
        )
    if images < world:
        raise UserError(
            f"There are {images} training images for {world} workers; use fewer workers or more images."
        )
    share = min(batch_size, images) // world
    generator = torch.Generator().manual_seed(epoch_seed(seed, epoch))
    order: list[int] = torch.randperm(images, generator=generator).tolist()
    size = share * world
    starts = range(rank * share, images // size * size, size)
    return [order[start : start + share] for start in starts]


def split(batch: list[int], parts: int) -> list[list[int]]:
    """A batch in at most `parts` runs whose lengths differ by at most one; none is empty."""
    parts = min(parts, len(batch))
    ends = [len(batch) * part // parts for part in range(parts + 1)]
    return [batch[start:end] for start, end in itertools.pairwise(ends)]
