"""Normal references proposed for one category: KeAD embeds a sample zero-shot, and some are selected."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from cluster.errors import UserError
from pipelines.corpus import Listing, is_test
from pipelines.images import ImageError, decode_image, read_bytes, read_image
from pipelines.kead import KeAD, anomaly_probability, zero_shot_map
from pipelines.prompts import CategoryPrompts
from pipelines.reference_selection import select_references

BATCH = 16
SIDE = 360


@dataclass(frozen=True)
class Proposal:
    """One image that is proposed as a normal reference.

    Attributes:
        path: as `corpus.references` takes it.
        uri: of the file.
        score: zero-shot anomaly score, s(c) + max M_zero (paper eq. 2 and 4), 0…2.
        rank: share of the sample with a lower score, 0…1.
        represents: share of the least anomalous images that look most like this one, 0…1.
        picture: (H, W, 3) uint8, sides of at most `SIDE` pixels.
    """

    path: str
    uri: str
    score: float
    rank: float
    represents: float
    picture: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CategoryProposal:
    """What is proposed for one category.

    Attributes:
        category: its name in the corpus.
        proposals: the most representative first.
        eligible: images that might have been proposed.
        sampled: of those, the ones looked at.
        skipped: paths and reasons of images that could not be read.
    """

    category: str
    proposals: tuple[Proposal, ...]
    eligible: int
    sampled: int
    skipped: tuple[tuple[str, str], ...]


def eligible_paths(listing: Listing, category: str) -> list[str]:
    """Images that may be proposed, in an order that depends on their names alone.

    Left out is whatever has a label, unless the label says that it is normal.
    """
    paths = [
        entry.path
        for entry in listing.entries
        if entry.category == category
        and (entry.normal or not (entry.labelled or entry.label is not None or entry.mask is not None))
    ]
    return sorted(paths, key=lambda path: hashlib.sha256(path.encode("utf-8", "surrogatepass")).digest())


@dataclass(frozen=True)
class _Looked:
    path: str
    pixels: npt.NDArray[np.uint8]


def propose(
    listing: Listing,
    category: str,
    *,
    kead: KeAD,
    prompts: CategoryPrompts,
    count: int,
    sample: int,
    test_share: float,
    advance: Callable[[int], None],
) -> CategoryProposal:
    """Pick normal references for one category.

    No image is proposed whose content hash falls into the held-out share of a corpus with labels, be it
    labelled itself or not: it may be a copy of a held-out one.

    Args:
        listing: of the corpus.
        category: one of its categories.
        kead: zero-shot (`shots` is 0).
        prompts: of the category.
        count: how many to propose.
        sample: images looked at, at most.
        test_share: `corpus.test_share`.
        advance: told of images that are done.

    Raises:
        UserError: fewer images can be proposed than `count`.
    """
    paths = eligible_paths(listing, category)
    share = test_share if any(entry.labelled for entry in listing.entries) else 0.0
    skipped: list[tuple[str, str]] = []
    looked = _look(listing, paths, kead, share, skipped)
    names: list[str] = []
    scores: list[npt.NDArray[np.float64]] = []
    embeddings: list[npt.NDArray[np.float64]] = []
    state = kead.category_state(prompts, None)
    for batch in _batches(looked, sample):
        pixels = torch.from_numpy(np.stack([image.pixels for image in batch]))
        embedded = kead.embed(pixels)
        t_n, t_a = state.t_n.to(kead.device), state.t_a.to(kead.device)
        tau = kead.settings.temperature
        score = anomaly_probability(embedded.cls, t_n, t_a, tau)
        score = score + zero_shot_map(embedded.patches, t_n, t_a, tau).amax(-1)
        texture = torch.stack([layer.float().mean(1) for layer in embedded.patches]).mean(0)
        halves = [F.normalize(part.float(), dim=-1) for part in (embedded.cls, texture)]
        names += [image.path for image in batch]
        scores.append(score.double().cpu().numpy())
        embeddings.append(torch.cat(halves, dim=-1).double().cpu().numpy())
        advance(len(batch))
    if len(names) < count:
        raise UserError(
            f'Category "{category}" has {len(names)} different images that may be proposed as references '
            f"(unlabelled or normal, readable, outside the held-out test split), fewer than {count}; add "
            "images or lower --count."
        )
    all_scores = np.concatenate(scores)
    proposals = []
    for pick in select_references(all_scores, np.concatenate(embeddings), count):
        path = names[pick.index]
        proposals.append(
            Proposal(
                path=path,
                uri=listing.uri(path),
                score=float(all_scores[pick.index]),
                rank=float((all_scores < all_scores[pick.index]).mean()),
                represents=pick.represents,
                picture=_picture(listing.uri(path)),
            )
        )
    return CategoryProposal(category, tuple(proposals), len(paths), len(names), tuple(skipped))


def _look(
    listing: Listing, paths: Iterable[str], kead: KeAD, share: float, skipped: list[tuple[str, str]]
) -> Iterator[_Looked]:
    """Readable images outside the held-out share, each content once, resized for the encoder."""
    seen: set[str] = set()
    for path in paths:
        try:
            data = read_bytes(listing.uri(path))
            image_id = hashlib.sha256(data).hexdigest()[:32]
            if image_id in seen or is_test(image_id, share):
                continue
            pixels = kead.preprocess(decode_image(data))
        except ImageError as error:
            skipped.append((path, str(error)))
            continue
        seen.add(image_id)
        yield _Looked(path, pixels)


def _picture(uri: str) -> npt.NDArray[np.uint8]:
    try:
        image = Image.fromarray(read_image(uri))
    except ImageError as error:
        raise UserError(f"{uri} changed while it was looked at ({error}); run the command again.") from None
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


def _batches(images: Iterator[_Looked], most: int) -> Iterator[list[_Looked]]:
    """Batches of `most` images in all."""
    batch: list[_Looked] = []
    for image in islice(images, most):
        batch.append(image)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
