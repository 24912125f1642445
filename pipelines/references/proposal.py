"""Normal references proposed for one category: KeAD embeds a sample zero-shot, and some are selected."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from cluster.errors import UserError
from pipelines.annotations import Annotation, read_truth
from pipelines.corpus import Listing, is_test
from pipelines.encoder import CategoryPrompts
from pipelines.images import ImageError, Levels, content_hash, decode_image, read_bytes, read_image
from pipelines.maps import (
    CategoryState,
    KeAD,
    TileSettings,
    anomaly_probability,
    tiled_image,
    zero_shot_map,
)
from pipelines.references.selection import select_references

BATCH = 16
SIDE = 360


@dataclass(frozen=True)
class Proposal:
    """One image that is proposed as a normal reference.

    Attributes:
        source: number of its source in the corpus.
        path: path as that source's `references` take it.
        uri: path or URI of the file.
        score: zero-shot anomaly score, s(c) + max M_zero (paper eq. 2 and 4), 0…2; with tiles the mean of the
            most anomalous ones.
        rank: share of the sample with a lower score, 0…1.
        represents: share of the least anomalous images that look most like this one, 0…1.
        picture: (H, W, 3) uint8, sides of at most `SIDE` pixels.
    """

    source: int
    path: str
    uri: str
    score: float
    rank: float
    represents: float
    picture: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CategoryProposal:
    """The proposals for one category.

    Attributes:
        category: its name in the corpus.
        proposals: proposed images, the most representative first.
        eligible: number of images without a defect label, including held-out ones.
        sampled: number of eligible images looked at.
        skipped: paths and reasons of images that could not be read.
    """

    category: str
    proposals: tuple[Proposal, ...]
    eligible: int
    sampled: int
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Eligible:
    """An image that may be proposed, before it is read.

    Attributes:
        source: number of its source in the corpus.
        path: path as the listing names it.
        uri: path or URI of the file.
        annotation: annotation that must prove empty; None where there is nothing to read.
    """

    source: int
    path: str
    uri: str
    annotation: Annotation | None


def eligible_images(listing: Listing, category: str) -> list[Eligible]:
    """Images that may be proposed, in an order that depends on their paths alone.

    Images with a label are left out, unless the label says, or may yet say, that they are normal; so are
    images that are published as held out, where that counts.
    """
    eligible = []
    held_out = listing.published.held_out if listing.published is not None else frozenset()
    for number, source in enumerate(listing.sources):
        for entry in source.entries:
            truth = source.truth(entry)
            open_question = truth is not None and truth.empty_is_normal
            unlabelled = not (entry.labelled or entry.defective) and truth is None
            if entry.category != category or entry.fault is not None or source.uri(entry) in held_out:
                continue
            if entry.normal or unlabelled or open_question:
                eligible.append(Eligible(number, entry.path, source.uri(entry), truth))
    return sorted(eligible, key=_order)


def _order(image: Eligible) -> tuple[bytes, int]:
    return hashlib.sha256(image.path.encode("utf-8", "surrogatepass")).digest(), image.source


@dataclass(frozen=True)
class _Looked:
    image: Eligible
    tiles: list[npt.NDArray[np.uint8]]  # what the encoder sees of it: the whole, or tiles


def propose(
    listing: Listing,
    category: str,
    *,
    kead: KeAD,
    tiling: TileSettings,
    prompts: CategoryPrompts,
    count: int,
    sample: int,
    test_share: float,
    advance: Callable[[int], None],
) -> CategoryProposal:
    """Pick normal references for one category.

    In a corpus with labels, no image is proposed whose content hash falls into the held-out share, labelled
    or not: it may be a copy of a held-out one.

    Args:
        listing: the corpus' listing.
        category: one of its categories.
        kead: the zero-shot method (`shots` is 0).
        tiling: how the maps cut images into tiles; they are looked at as the maps will see them.
        prompts: the category's prompts.
        count: number of images to propose.
        sample: most images looked at.
        test_share: `corpus.test_share`.
        advance: function called with the number of images done.

    Raises:
        UserError: fewer images can be proposed than `count`.
    """
    eligible = eligible_images(listing, category)
    by_content = listing.published is None and any(entry.labelled for entry in listing.entries)
    share = test_share if by_content else 0.0
    skipped: list[tuple[str, str]] = []
    state = kead.category_state(prompts, None)
    looked_at = _look(eligible, _Tiler(kead, tiling, state), share, listing.levels, skipped)
    images: list[Eligible] = []
    scores: list[float] = []
    embeddings: list[npt.NDArray[np.float64]] = []
    for batch in _batches(looked_at, sample, BATCH if tiling.tiles == "off" else 1):
        for looked, score, embedding in _embedded(kead, state, batch, tiling.top_tiles):
            images.append(looked.image)
            scores.append(score)
            embeddings.append(embedding)
        advance(len(batch))
    if len(images) < count:
        remedy = "lower --count" if images else "do without references (maps.kead.shots=0)"
        raise UserError(
            f'Category "{category}" has {len(images)} different images that may be proposed as references '
            f"(unlabelled or normal, readable, outside the held-out test split), fewer than {count}; add "
            f"images or {remedy}."
        )
    all_scores = np.array(scores)
    proposals = []
    for pick in select_references(all_scores, np.stack(embeddings), count):
        image = images[pick.index]
        proposals.append(
            Proposal(
                source=image.source,
                path=image.path,
                uri=image.uri,
                score=float(all_scores[pick.index]),
                rank=float((all_scores < all_scores[pick.index]).mean()),
                represents=pick.represents,
                picture=_picture(image.uri, listing.levels[image.source]),
            )
        )
    return CategoryProposal(category, tuple(proposals), len(eligible), len(images), tuple(skipped))


@dataclass(frozen=True)
class _Tiler:
    kead: KeAD
    tiling: TileSettings
    state: CategoryState

    def tiles(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        """The encoder's inputs of one image."""
        if self.tiling.tiles == "off":
            return [self.kead.preprocess(pixels)]
        image = tiled_image(self.kead, pixels, self.state, self.tiling)
        return [image.plan.tile(image.pixels, corner) for corner in image.plan.corners]


def _embedded(
    kead: KeAD, state: CategoryState, batch: Sequence[_Looked], top_tiles: int
) -> Iterator[tuple[_Looked, float, npt.NDArray[np.float64]]]:
    """Each image with the mean score of its most anomalous tiles, and the mean embedding of all."""
    tiles = [tile for looked in batch for tile in looked.tiles]
    t_n, t_a = state.t_n.to(kead.device), state.t_a.to(kead.device)
    tau = kead.settings.temperature
    scores: list[npt.NDArray[np.float64]] = []
    embeddings: list[npt.NDArray[np.float64]] = []
    for start in range(0, len(tiles), BATCH):
        embedded = kead.embed(torch.from_numpy(np.stack(tiles[start : start + BATCH])))
        score = anomaly_probability(embedded.cls, t_n, t_a, tau)
        score = score + zero_shot_map(embedded.patches, t_n, t_a, tau).amax(-1)
        texture = torch.stack([layer.float().mean(1) for layer in embedded.patches]).mean(0)
        halves = [F.normalize(part.float(), dim=-1) for part in (embedded.cls, texture)]
        scores.append(score.double().cpu().numpy())
        embeddings.append(torch.cat(halves, dim=-1).double().cpu().numpy())
    places = np.cumsum([len(looked.tiles) for looked in batch])[:-1]
    parts = (np.split(np.concatenate(every), places) for every in (scores, embeddings))
    for looked, own, embedding in zip(batch, *parts, strict=True):
        yield looked, float(np.sort(own)[::-1][:top_tiles].mean()), embedding.mean(axis=0)


def _look(
    eligible: Iterable[Eligible],
    tiler: _Tiler,
    share: float,
    levels: Sequence[Levels | None],
    skipped: list[tuple[str, str]],
) -> Iterator[_Looked]:
    """Readable images outside the held-out share, each content once, cut and resized for the encoder."""
    seen: set[str] = set()
    for image in eligible:
        try:
            data = read_bytes(image.uri)
            image_id = content_hash(data)
            if image_id in seen or is_test(image_id, share):
                continue
            pixels = decode_image(data, levels[image.source])
            if _has_defect(image, pixels):
                continue
        except ImageError as error:
            skipped.append((image.path, str(error)))
            continue
        seen.add(image_id)
        yield _Looked(image, tiler.tiles(pixels))


def _has_defect(image: Eligible, pixels: npt.NDArray[np.uint8]) -> bool:
    if image.annotation is None:
        return False
    height, width = pixels.shape[:2]
    return not read_truth(image.annotation, width, height).empty


def _picture(uri: str, levels: Levels | None) -> npt.NDArray[np.uint8]:
    try:
        image = Image.fromarray(read_image(uri, levels))
    except ImageError as error:
        raise UserError(f"{uri} changed while it was looked at ({error}); run the command again.") from None
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


def _batches(looked_at: Iterator[_Looked], most: int, size: int) -> Iterator[list[_Looked]]:
    """Batches of so many images, `most` in all."""
    batch: list[_Looked] = []
    for looked in islice(looked_at, most):
        batch.append(looked)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
