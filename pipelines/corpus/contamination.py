"""Contamination: evaluation images, or near-duplicates of them, among the images that pretraining sees."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cluster.on_ray import machine_cpus
from cluster.progress import progress
from pipelines.corpus.near_duplicates import nearest, perceptual_hash
from pipelines.images import ImageError, content_hash, decode_image, read_bytes

EXACT, NEAR = "exact", "near"


@dataclass(frozen=True)
class HashedImage:
    """An image by its content hash (`image_id`) and its perceptual hash."""

    uri: str
    image_id: str
    phash: str


@dataclass(frozen=True)
class Match:
    """An evaluation image and the pretraining image that gives it away.

    Attributes:
        kind: `exact` (same bytes) or `near`.
        distance: differing bits of the perceptual hash, 0–256.
    """

    uri: str
    pretraining_uri: str
    kind: str
    distance: int


def hash_images(uris: Sequence[str]) -> tuple[list[HashedImage], list[dict[str, str]]]:
    """Hash images on this machine's CPUs: (those that could be read, `{uri, reason}` of the others)."""
    hashed: list[HashedImage] = []
    unreadable: list[dict[str, str]] = []
    # Threads: decoding and resizing, most of the work, happen outside Python's lock.
    with progress("hashing", len(uris)) as bar, ThreadPoolExecutor(machine_cpus()) as pool:
        for uri, outcome in zip(uris, pool.map(_hash_one, uris), strict=True):
            bar.advance()
            if isinstance(outcome, HashedImage):
                hashed.append(outcome)
            else:
                unreadable.append({"uri": uri, "reason": outcome})
    return hashed, unreadable


def _hash_one(uri: str) -> HashedImage | str:
    try:
        data = read_bytes(uri)
        return HashedImage(uri, content_hash(data), perceptual_hash(decode_image(data)))
    except ImageError as error:
        return str(error)


def contamination(
    evaluated: Iterable[HashedImage], pretraining: Sequence[HashedImage], limit: int
) -> list[Match]:
    """Every evaluation image that pretraining sees, with the nearest pretraining image; exact matches first.

    Args:
        evaluated: images whose results are reported.
        pretraining: images of the corpus outside its held-out split.
        limit: most differing bits of a near-duplicate pair, see `near_duplicates.near_pairs`.
    """
    by_id = {image.image_id: image for image in pretraining}
    matches = []
    others = []
    for image in evaluated:
        same = by_id.get(image.image_id)
        if same is not None:
            matches.append(Match(image.uri, same.uri, EXACT, 0))
        else:
            others.append(image)
    neighbours = nearest([image.phash for image in others], [image.phash for image in pretraining], limit)
    near = [
        Match(image.uri, pretraining[place[0]].uri, NEAR, place[1])
        for image, place in zip(others, neighbours, strict=True)
        if place is not None
    ]
    return matches + sorted(near, key=lambda match: (match.distance, match.uri))
