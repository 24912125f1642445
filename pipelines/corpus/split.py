"""The held-out split: decided by content hash alone, near-duplicates always on one side."""

import hashlib
from collections.abc import Iterable, Sequence, Set


def is_test(image_id: str, share: float) -> bool:
    """Whether a content hash falls into the held-out share; independent of every other image."""
    return int(image_id[:12], 16) < share * 16**12


def spokesman(image_ids: Iterable[str]) -> str:
    """The image of a group whose content hash decides for all of them.

    It is the one whose id has the smallest SHA-256. The smallest id itself would pull groups to the test
    side: in 98 of 100 groups of six ids it falls into the lower half.
    """
    return min(image_ids, key=lambda image_id: hashlib.sha256(image_id.encode()).digest())


def held_out_ids(groups: Iterable[Sequence[str]], eligible: Set[str], share: float) -> set[str]:
    """The images that are held out: whole groups of near-duplicates, or none of a group.

    A group with a member that can't be held out (a normal reference, an image without labels) stays whole in
    the pretraining corpus. Otherwise that member would show pretraining what the test asks for.

    Args:
        groups: image ids, each in one group; an image without near-duplicates is a group of its own.
        eligible: ids of the labelled images that are no references.
        share: expected share of the eligible groups that is held out, 0 ≤ share < 1.
    """
    held_out: set[str] = set()
    for members in groups:
        if all(member in eligible for member in members) and is_test(spokesman(members), share):
            held_out.update(members)
    return held_out
