"""Which images are looked at: a drawn part of either side, one of each group of near-duplicates."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cluster.errors import UserError, nearest
from cluster.stages import Artifact
from pipelines.choice import groups_of
from pipelines.corpus import group_images
from pipelines.images import Levels
from pipelines.tables import REFERENCE, CorpusTables

LOOKED_AT = ("image_id", "uri", "levels")  # what a row tells of an image


@dataclass(frozen=True)
class Corpus:
    """The images that new ones are compared with.

    Attributes:
        category: their category.
        rows: rows with `LOOKED_AT`, one of each group of near-duplicates.
        images: images of the category that they were drawn from.
        levels: black and white of images of more than 8 bits; None takes each one's own.
        references: category → URIs of its normal references.
        known: ids of all images of the corpus.
    """

    category: str
    rows: Sequence[Mapping[str, Any]]
    images: int
    levels: Levels | None
    references: Mapping[str, Sequence[str]]
    known: frozenset[str]


def corpus_images(corpus: Artifact, category: str | None, *, held_out: bool, most: int, seed: int) -> Corpus:
    """Draw the corpus' images; normal references, which maps compare with, are none of them.

    Args:
        corpus: the corpus stage's artifact.
        category: the only category; None where the corpus has one.
        held_out: whether images outside the test split are left out, as something has learnt from them.
        most: most images.
        seed: seed of the draw.

    Raises:
        UserError: no such category, several without one being named, images of more than 8 bits on
            different scales.
    """
    tables = CorpusTables(corpus.directory)
    manifest = tables.manifest()
    name = _category(category, {row["category"] for row in manifest})
    rows = [row for row in manifest if row["category"] == name]
    scales = {tuple(row["levels"]) for row in rows if row["levels"] is not None}
    if len(scales) > 1:
        raise UserError(
            f'The images of "{name}" are of more than 8 bits and scaled by {len(scales)} different levels, '
            "so nobody knows those of new images; check one source at a time (corpus.root and its levels)."
        )
    levels = next(((pair[0], pair[1]) for pair in scales), None)
    usable = [row for row in rows if row["role"] != REFERENCE and (not held_out or row["split"] == "test")]
    groups = groups_of(tables)
    ids = one_of_each({row["image_id"]: groups.get(row["image_id"], row["image_id"]) for row in usable}, seed)
    by_id = {row["image_id"]: row for row in usable}
    drawn = [{field: by_id[one].get(field) for field in LOOKED_AT} for one in ids[:most]]
    known = frozenset(row["image_id"] for row in manifest)
    return Corpus(name, drawn, len(usable), levels, tables.references(), known)


def _category(asked: str | None, names: set[str]) -> str:
    if asked is not None:
        if asked not in names:
            raise UserError(f'There is no category "{asked}" in the corpus; {nearest(asked, names)}')
        return asked
    if len(names) != 1:
        listed = ", ".join(sorted(names))
        raise UserError(
            f"The corpus has {len(names)} categories ({listed}); name the new images' by --category."
        )
    return next(iter(names))


def new_images(files: pa.Table, levels: Levels | None, *, most: int, seed: int) -> list[dict[str, Any]]:
    """Draw from a listing of new images; rows with `LOOKED_AT`, whose ids are not known yet.

    Args:
        files: table from `find_images`.
        levels, most, seed: see `Corpus` and `corpus_images`.
    """
    rows = sorted(files.select(["uri", "name"]).to_pylist(), key=lambda row: _drawn(row["name"], seed))
    scale = None if levels is None else list(levels)
    return [{"image_id": None, "uri": row["uri"], "levels": scale} for row in rows[:most]]


def independent(rows: Sequence[Mapping[str, Any]], limit: int, seed: int) -> list[str]:
    """Ids of one image of each group of near-duplicates.

    Args:
        rows: rows with `image_id`, `uri` and `phash`.
        limit: most differing bits of near-duplicates.
        seed: seed of the draw.
    """
    images = {row["image_id"]: row for row in rows}
    _, groups = group_images(images, limit)
    return one_of_each({one: members[0] for members in groups for one in members}, seed)


def one_of_each(groups: Mapping[str, str], seed: int) -> list[str]:
    """One image of each group, in drawn order.

    Args:
        groups: image_id → its group.
        seed: seed of the draw.
    """
    taken: dict[str, str] = {}
    for image_id in sorted(groups, key=lambda one: _drawn(one, seed)):
        taken.setdefault(groups[image_id], image_id)
    return list(taken.values())


def _drawn(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogateescape")).digest()


def as_files(rows: Sequence[Mapping[str, Any]], files: pa.Table) -> pa.Table:
    """Images of both sides as a listing for a detector.

    Args:
        rows: rows with `LOOKED_AT`.
        files: table from `find_images`, of the new ones.
    """
    known = {row["uri"]: row for row in files.to_pylist()}
    listed = {
        uri: known.get(uri, {"uri": uri, "name": row["image_id"], "bytes": 0, "modified": 0})
        for row in rows
        for uri in (row["uri"],)
    }
    return pa.Table.from_pylist(list(listed.values()), schema=files.schema)
