"""Near-duplicates: perceptual hashes, and the groups of images whose hashes differ in few bits. No Ray here.

The hash is imagehash's pHash of 16 × 16 DCT frequencies (256 bits), but of an image shrunk in floating point.
imagehash shrinks to whole grey levels, which leaves of a smooth sheet's grain little but the rounding:
different sheets had one hash, and a sheet saved as a JPEG was far from itself.

Pairs of real images were looked at as pictures. 64 bits don't tell smooth grey surfaces apart. Of the 1,344
magnetic tiles (about 220 parts at six exposures each) 64-bit pHash finds half the pairs at distance 4 and
joins different parts from 6 on; dHash and wHash join hundreds of different NEU images at distance 0. With 256
bits all of about 150 pairs looked at up to distance 64 were one part (another exposure, shifted, tilted,
taken again); from 72 on different parts collide, above 80 most pairs are different. Smooth surfaces without
marks come closest to a false pair.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from pipelines.corpus.hamming_pairs import (
    CODE_BITS,
    CODE_WORDS,
    Block,
    Joined,
    Places,
    Words,
    all_pairs,
    no_pairs,
    together,
)
from pipelines.tables import NEAR_DUPLICATES

HASH_SIDE = 16
SHRUNK_SIDE = 4 * HASH_SIDE
# Frequencies are rounded to 0.001 grey levels: a flat image has none, not floating point's last digits.
DIGITS = 3
# A large image is first averaged to four times the size, which is as good and takes half as long.
REDUCING_GAP = 4.0

# Links are thinned to a forest when so many were collected: about 300 MB then.
LINKS_KEPT = 1 << 21


def perceptual_hash(image: npt.NDArray[np.uint8]) -> str:
    """The image's 256-bit pHash as 64 hex digits (`imagehash.hex_to_hash` reads it).

    It survives exposure, noise, resizing, recompression and shifts of a few percent; not mirroring,
    cropping or turning by more than a few degrees.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = Image.fromarray(image).convert("L").convert("F")
    shrunk = grey.resize((SHRUNK_SIDE, SHRUNK_SIDE), Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    frequencies = dctn(np.asarray(shrunk, np.float64), norm="ortho")[:HASH_SIDE, :HASH_SIDE].round(DIGITS)
    return str(imagehash.ImageHash(frequencies > np.median(frequencies)))


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


def near_pairs(hashes: Sequence[str] | pa.ChunkedArray, limit: int) -> Iterator[Block]:
    """All pairs of near-duplicates, each once, in blocks of (first, second, distance) with first < second.

    Args:
        hashes: results of `perceptual_hash`, a column or a list.
        limit: most differing bits of near-duplicates, 0–256.
    """
    return all_pairs(_words(hashes), None, limit)


def near_links(hashes: Sequence[str] | pa.ChunkedArray, limit: int) -> Links:
    """The closest pairs that hold the groups of near-duplicates together, fewer than there are images.

    A minimum spanning forest of `near_pairs`, so that a thousand frames of a standing camera give 999 links
    and not half a million pairs; images of equal hash are linked to the first of them.

    Args:
        hashes, limit: arguments of `near_pairs`.
    """
    words = _words(hashes)
    unique, first_place, number = _different(words)
    anchor = first_place[number]
    repeats = np.flatnonzero(anchor != np.arange(len(words)))
    forest = _Forest(len(unique), limit)
    for block in all_pairs(unique, None, limit, forest.joined):
        forest.add(block)
    first, second, distance = forest.links()
    ends = np.sort(first_place[np.stack([first, second])], axis=0)
    return Links(
        np.concatenate([anchor[repeats], ends[0]]),
        np.concatenate([repeats, ends[1]]),
        np.concatenate([np.zeros(len(repeats), np.int64), distance]),
    )


def _different(words: Words) -> tuple[Words, Places, Places]:
    """`np.unique` of the hashes in the order of their hex digits: the first places, and each one's number."""
    order = np.lexsort(words.astype("<u8").view(">u8").T[::-1])
    ordered = words[order]
    new = np.ones(len(words), np.bool_)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    number = np.empty(len(words), np.int64)
    number[order] = np.cumsum(new) - 1
    return ordered[new], order[new], number


class _Forest:
    """A minimum spanning forest of links that come in blocks.

    Links whose ends the links so far join by steps that are no longer can't be in it: they are dropped at
    once, and most of them are not told at all, see `joined`. So a dense group costs no memory.
    """

    def __init__(self, count: int, limit: int) -> None:
        self.count, self.limit = count, limit
        self._links: list[Block] = [no_pairs()]
        self._collected = 0
        self._components: npt.NDArray[np.int32] | None = None  # (limit + 1, count), by longest step
        self._joined: Joined | None = None

    def add(self, block: Block) -> None:
        first, second, distance = block
        if self._components is not None:
            new = self._components[distance, first] != self._components[distance, second]
            first, second, distance = first[new], second[new], distance[new]
        self._links.append((first, second, distance))
        self._collected += len(first)
        if self._collected > LINKS_KEPT:
            self._thin()

    def links(self) -> Block:
        first, second, distance = together(self._links)
        # A sparse matrix has no entry 0, hence the 1.
        graph = coo_matrix((distance + 1, (first, second)), shape=(self.count, self.count)).tocsr()
        tree = minimum_spanning_tree(graph).tocoo()
        return tree.row.astype(np.int64), tree.col.astype(np.int64), tree.data.astype(np.int64) - 1

    def joined(self) -> Joined | None:
        """What the forest so far makes needless: by group, the longest step from each place to its core."""
        return self._joined

    def _thin(self) -> None:
        forest = self.links()
        self._links, self._collected = [forest], 0
        first, _, distance = forest
        steps = range(self.limit + 1)
        components = np.stack([_components(forest, distance <= step, self.count) for step in steps])
        group = components[-1]
        # A group's core is an end of its shortest link, where it is densest.
        core = np.arange(self.count)
        by_length = np.argsort(-distance, kind="stable")  # of several writes to one place the last counts
        core[group[first[by_length]]] = first[by_length]
        core = core[group]
        step = (components != np.take_along_axis(components, core[None], axis=1)).sum(axis=0)
        self._components, self._joined = components, Joined(group, step.astype(np.uint8))


def _components(links: Block, chosen: npt.NDArray[np.bool_], count: int) -> npt.NDArray[np.int32]:
    first, second = links[0][chosen], links[1][chosen]
    graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def groups(links: Links, count: int) -> Places:
    """The group number of each of `count` images, (count,) int64: connected components of the links."""
    graph = coo_matrix((np.ones(len(links.first)), (links.first, links.second)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def group_images(
    images: Mapping[str, Mapping[str, Any]], limit: int
) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """`group_rows` of a few thousand images.

    Args:
        images: `phash` and `uri` by image id.
        limit: most differing bits, see `near_pairs`.

    Returns:
        Rows of `tables.NEAR_DUPLICATES`, and the groups' image ids, sorted.
    """
    ids = sorted(images)
    columns = {name: [images[image_id][name] for image_id in ids] for name in ("phash", "uri")}
    table, numbers = group_rows(pa.table({"image_id": ids, **columns}), np.arange(len(ids)), limit)
    return table.to_pylist(), listed_groups(ids, numbers)


def listed_groups(ids: Sequence[str], numbers: Places) -> list[list[str]]:
    """The ids of each group, in their order; the groups by their first ids."""
    members: dict[int, list[str]] = defaultdict(list)
    for image_id, number in zip(ids, numbers.tolist(), strict=True):
        members[number].append(image_id)
    return list(members.values())


def group_rows(images: pa.Table, rows: Places, limit: int) -> tuple[pa.Table, Places]:
    """The links between near-duplicates as a table, and each image's group.

    Args:
        images: `image_id`, `phash` and `uri`.
        rows: the places of the images that count, by their different ids.
        limit: most differing bits, see `near_pairs`.

    Returns:
        `tables.NEAR_DUPLICATES`, by group (its smallest image id), closest first; the number of each image's
        group, (N,): an image without near-duplicates has a group of its own.
    """
    links = near_links(images.column("phash").take(pa.array(rows)), limit)
    numbers = groups(links, len(rows))
    _, first_member = np.unique(numbers, return_index=True)
    group = first_member[numbers[links.first]] if len(links.first) else links.first
    order = np.lexsort((links.second, links.first, links.distance, group))
    columns = {"group": images.column("image_id").take(pa.array(rows[group[order]]))}
    for side, places in (("a", links.first[order]), ("b", links.second[order])):
        for name in ("image_id", "uri"):
            columns[f"{name}_{side}"] = images.column(name).take(pa.array(rows[places]))
    columns["distance"] = pa.chunked_array([links.distance[order].astype(np.int32)])
    names = NEAR_DUPLICATES.names
    return pa.table([columns[name] for name in names], names=names).cast(NEAR_DUPLICATES), numbers


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
    none = (CODE_BITS + 1) * len(hashes)
    best = np.full(len(queries), none, np.int64)
    for query, base, distance in all_pairs(_words(queries), _words(unique.tolist()), limit):
        np.minimum.at(best, query, distance * len(hashes) + places[base])
    return [
        None if key == none else (int(key % len(hashes)), int(key // len(hashes))) for key in best.tolist()
    ]


def _words(hashes: Sequence[str] | pa.ChunkedArray) -> Words:
    """The hashes as (N, 4) words."""
    if isinstance(hashes, pa.ChunkedArray):
        # An array's texts are one text already: a million of them need not become Python's.
        digits = b"".join(_digits(chunk) for chunk in hashes.chunks).decode()
    else:
        digits = "".join(hashes)
    return np.frombuffer(bytes.fromhex(digits), np.uint64).reshape(len(hashes), CODE_WORDS)


def _digits(chunk: pa.Array) -> bytes:
    if not len(chunk):
        return b""
    _, ends, data = pa.concat_arrays(
        [chunk.cast(pa.large_string()), pa.array([], pa.large_string())]
    ).buffers()
    first, last = np.frombuffer(ends, np.int64)[[0, len(chunk)]]
    return bytes(memoryview(data)[first:last])


def both_sides_sentence(number: int, first: str, key: str) -> str:
    """What the user must hear of near-duplicates that a given split leaves on both of its sides.

    Args:
        number: images learnt from that are near-duplicates of held-out ones.
        first: the first of them and its held-out near-duplicate.
        key: dotted path of the section with the split.
    """
    alone = number == 1
    return (
        f"{key}.test: {number} {'image' if alone else 'images'} to learn from {'is a' if alone else 'are'} "
        f"near-duplicate{'' if alone else 's'} of images that are measured on ({first}), so figures will be "
        f"better than on new images. Take them out of {key}.train, or give both as {key}.train without "
        f"{key}.test, which keeps near-duplicates on one side; a lower {key}.near_duplicate_distance takes "
        "fewer for the same."
    )
