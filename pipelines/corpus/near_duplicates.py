"""Near-duplicates: perceptual hashes, and the pairs among them that differ in few bits. No Ray here.

The hash is imagehash's pHash of 16 × 16 DCT frequencies (256 bits). Pairs of real images were looked at as
pictures. 64 bits don't tell smooth grey surfaces apart. Of the 1,344 magnetic tiles (about 220
parts at six exposures each) 64-bit pHash finds half the pairs at distance 4 and joins different parts from
6 on; dHash and wHash join hundreds of different NEU images at distance 0. With 256 bits all of about 150
pairs looked at up to distance 64 were one part (another exposure, shifted, tilted, taken again); from 72 on
different parts collide, above 80 most pairs are different. Smooth surfaces without marks come closest to a
false pair.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2

# The search looks up the 64 lowest frequencies, the steadiest bits, in four tables of 16 bits (multi-index
# hashing). By the pigeonhole principle codes that differ in at most 11 bits differ in at most 2 within one
# of the four. On the magnetic tiles at distance 64 that leaves out 186 of 2,886 pairs, and 15 of the 1,291
# images that have a near-duplicate.
COARSE_SIDE = 8
CHUNKS, CHUNK_BITS, CHUNK_RADIUS = 4, 16, 2
COARSE_DISTANCE = CHUNKS * (CHUNK_RADIUS + 1) - 1
FLIPS = [flip for flip in range(1 << CHUNK_BITS) if flip.bit_count() <= CHUNK_RADIUS]
BLOCK = 1 << 21  # candidate pairs compared at once: about 100 MB
LINKS_KEPT = 1 << 22  # links collected before they are thinned to a forest

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Block = tuple[Places, Places, npt.NDArray[np.int64]]


def perceptual_hash(image: npt.NDArray[np.uint8]) -> str:
    """The image's 256-bit pHash as 64 hex digits (`imagehash.hex_to_hash` reads it).

    It survives exposure, noise, resizing, recompression and shifts of a few percent; not mirroring,
    cropping or turning by more than a few degrees.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    return str(imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE))


@dataclass(frozen=True)
class Links:
    """Pairs of near-duplicates, by their places in the list that was searched.

    Attributes:
        first, second: (L,) int64, `first < second`.
        distance: (L,) int64, differing bits, 0–256.
    """

    first: Places
    second: Places
    distance: npt.NDArray[np.int64]

    def triples(self) -> Iterator[tuple[int, int, int]]:
        """(first, second, distance) of each link."""
        return zip(self.first.tolist(), self.second.tolist(), self.distance.tolist(), strict=True)


def near_pairs(hashes: Sequence[str], limit: int) -> Iterator[Block]:
    """All pairs of near-duplicates, each once, in blocks of (first, second, distance) with first < second.

    Near-duplicates differ in at most `limit` of the 256 bits and in at most `COARSE_DISTANCE` of the 64 of
    lowest frequency. 100,000 hashes take seconds, plus the time for the pairs found.

    Args:
        hashes: results of `perceptual_hash`.
        limit: most differing bits, 0–256.
    """
    words, coarse = _codes(hashes)
    for first, second, distance in _search(words, coarse, words, coarse, limit):
        once = first < second
        if once.any():
            yield first[once], second[once], distance[once]


def near_links(hashes: Sequence[str], limit: int) -> Links:
    """The closest pairs that hold the groups of near-duplicates together, fewer than there are images.

    A minimum spanning forest of `near_pairs`, so that a thousand frames of a standing camera give 999 links
    and not half a million pairs; images of equal hash are linked to the first of them.

    Args:
        hashes, limit: arguments of `near_pairs`.
    """
    unique, first_place, number = np.unique(
        np.asarray(hashes, dtype=str), return_index=True, return_inverse=True
    )
    anchor = first_place[number]
    repeats = np.flatnonzero(anchor != np.arange(len(hashes)))
    forest: Block = _no_links()
    waiting: list[Block] = []
    for block in near_pairs(unique.tolist(), limit):
        waiting.append(block)
        if sum(len(part[0]) for part in waiting) > LINKS_KEPT:
            forest, waiting = _forest([forest, *waiting], len(unique)), []
    forest = _forest([forest, *waiting], len(unique))
    ends = np.sort(first_place[np.stack(forest[:2])], axis=0)
    return Links(
        np.concatenate([anchor[repeats], ends[0]]),
        np.concatenate([repeats, ends[1]]),
        np.concatenate([np.zeros(len(repeats), np.int64), forest[2]]),
    )


def groups(links: Links, count: int) -> Places:
    """The group number of each of `count` images, (count,) int64: connected components of the links."""
    graph = coo_matrix((np.ones(len(links.first)), (links.first, links.second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def group_images(
    images: Mapping[str, Mapping[str, Any]], limit: int
) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The links between near-duplicates as table rows, and all image ids by groups of near-duplicates.

    Args:
        images: `phash` and `uri` by image id.
        limit: most differing bits, see `near_pairs`.

    Returns:
        Rows of `tables.NEAR_DUPLICATES`, by group (its smallest image id), closest first; the groups, sorted.
        An image without near-duplicates is a group of its own.
    """
    ids = sorted(images)
    links = near_links([images[image_id]["phash"] for image_id in ids], limit)
    numbers = groups(links, len(ids)).tolist()
    members: dict[int, list[str]] = defaultdict(list)
    for image_id, number in zip(ids, numbers, strict=True):
        members[number].append(image_id)
    rows = [
        {
            "group": members[numbers[first]][0],
            "image_id_a": ids[first],
            "image_id_b": ids[second],
            "uri_a": images[ids[first]]["uri"],
            "uri_b": images[ids[second]]["uri"],
            "distance": distance,
        }
        for first, second, distance in links.triples()
    ]
    rows.sort(key=lambda row: (row["group"], row["distance"], row["image_id_a"], row["image_id_b"]))
    return rows, list(members.values())


def nearest(queries: Sequence[str], hashes: Sequence[str], limit: int) -> list[tuple[int, int] | None]:
    """The place of each query's nearest near-duplicate and their distance; None where there is none.

    The first of equally near ones counts. `near_pairs` says what a near-duplicate is.

    Args:
        queries, hashes: results of `perceptual_hash`.
        limit: most differing bits, 0–256.
    """
    if not queries or not hashes:
        return [None] * len(queries)
    unique, places = np.unique(np.asarray(hashes, dtype=str), return_index=True)
    none = (HASH_BITS + 1) * len(hashes)
    best = np.full(len(queries), none, np.int64)
    for query, base, distance in _search(*_codes(queries), *_codes(unique.tolist()), limit):
        np.minimum.at(best, query, distance * len(hashes) + places[base])
    return [
        None if key == none else (int(key % len(hashes)), int(key // len(hashes))) for key in best.tolist()
    ]


def _codes(hashes: Sequence[str]) -> tuple[Words, Words]:
    """Whole hashes as (N, 4) words, and their 8 × 8 lowest frequencies as (N,) words."""
    octets = np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(len(hashes), HASH_BITS // 8)
    # A row of 16 frequencies is two bytes; the first holds the lower eight.
    coarse = np.ascontiguousarray(octets.reshape(-1, HASH_SIDE, 2)[:, :COARSE_SIDE, 0])
    return octets.view(np.uint64), coarse.view(np.uint64)[:, 0]


def _search(
    words: Words, coarse: Words, base_words: Words, base_coarse: Words, limit: int
) -> Iterator[Block]:
    """Near-duplicates (query, base, distance) of every query, each pair once."""
    keys, base_keys = _keys(coarse), _keys(base_coarse)
    for chunk in range(CHUNKS):
        order = np.argsort(base_keys[chunk], kind="stable")
        sizes = np.bincount(base_keys[chunk], minlength=1 << CHUNK_BITS)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        for flip in FLIPS:
            looked_up = keys[chunk] ^ flip
            for query, place in _lookups(starts[looked_up], sizes[looked_up]):
                base = order[place]
                differ = coarse[query] ^ base_coarse[base]
                near = np.bitwise_count(differ) <= COARSE_DISTANCE
                query, base, differ = query[near], base[near], differ[near]
                again = np.zeros(len(query), np.bool_)  # an earlier table found it
                for earlier in range(chunk):
                    part = (differ >> np.uint64(CHUNK_BITS * earlier)) & np.uint64((1 << CHUNK_BITS) - 1)
                    again |= np.bitwise_count(part) <= CHUNK_RADIUS
                query, base = query[~again], base[~again]
                distance = np.bitwise_count(words[query] ^ base_words[base]).sum(axis=1, dtype=np.int64)
                near = distance <= limit
                if near.any():
                    yield query[near], base[near], distance[near]


def _keys(coarse: Words) -> list[Places]:
    mask = np.uint64((1 << CHUNK_BITS) - 1)
    return [((coarse >> np.uint64(CHUNK_BITS * chunk)) & mask).astype(np.int64) for chunk in range(CHUNKS)]


def _lookups(starts: Places, sizes: Places) -> Iterator[tuple[Places, Places]]:
    """(query, place) for every place of each query's run `starts…starts + sizes`, about `BLOCK` at once."""
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(sizes):
        done = int(ends[begin - 1]) if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, done + BLOCK, side="right")))
        part = sizes[begin:stop]
        offsets = starts[begin:stop] - (ends[begin:stop] - part - done)
        query = np.repeat(np.arange(begin, stop), part)
        yield query, np.arange(len(query)) + np.repeat(offsets, part)
        begin = stop


def _no_links() -> Block:
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)


def _forest(blocks: Sequence[Block], count: int) -> Block:
    """The minimum spanning forest of the links in all blocks."""
    first, second, distance = (np.concatenate(column) for column in zip(*blocks, strict=True))
    # A sparse matrix has no entry 0, hence the 1.
    graph = coo_matrix((distance + 1, (first, second)), shape=(count, count)).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()
    return tree.row.astype(np.int64), tree.col.astype(np.int64), tree.data.astype(np.int64) - 1
