"""The held-out split: decided by content hash alone, near-duplicates always on one side."""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from pipelines.corpus.places import Flags, Places

GROUPS_AT_ONCE = 4096


def is_test(image_id: str, share: float) -> bool:
    """Whether a content hash falls into the held-out share; independent of every other image."""
    return int(image_id[:12], 16) < share * 16**12


def spokesman(image_ids: Sequence[str]) -> str:
    """The image of a group whose content hash decides for all of them.

    It is the one whose id has the smallest SHA-256. The smallest id itself would pull groups to the test
    side: in 98 of 100 groups of six ids it falls into the lower half.
    """
    if len(image_ids) == 1:  # most are alone
        return image_ids[0]
    return min(image_ids, key=lambda image_id: hashlib.sha256(image_id.encode()).digest())


def held_out_images(ids: pa.Array, groups: Places, eligible: Flags, share: float) -> Flags:
    """Which images are held out: whole groups of near-duplicates, or none of a group.

    A group with a member that can't be held out (a normal reference, an image without labels) stays whole in
    the pretraining corpus. Otherwise that member would show pretraining what the test asks for.

    Args:
        ids: the images' different ids, (N,).
        groups: the number of each image's group, (N,); one without near-duplicates has a group of its own.
        eligible: which are labelled and no references, (N,).
        share: expected share of the eligible groups that is held out, 0 ≤ share < 1.
    """
    held_out = np.zeros(len(ids), np.bool_)
    stuck = np.bincount(groups, weights=~eligible) > 0
    movable = np.flatnonzero(~stuck[groups])
    movable = movable[np.argsort(groups[movable], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[movable], prepend=-1))
    for some in range(0, len(starts), GROUPS_AT_ONCE):
        ends = np.append(starts[some : some + GROUPS_AT_ONCE + 1], len(movable))[: GROUPS_AT_ONCE + 1]
        names = ids.take(pa.array(movable[ends[0] : ends[-1]])).to_pylist()
        for start, end in pairwise(ends.tolist()):
            if is_test(spokesman(names[start - ends[0] : end - ends[0]]), share):
                held_out[movable[start:end]] = True
    return held_out
