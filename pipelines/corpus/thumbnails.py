"""Thumbnails of the images that contact sheets show: small, without loss, made once from the file."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from pipelines.corpus.listing import Listing
from pipelines.images import ImageError, Levels, read_image
from pipelines.tables import LEVELS

THUMBNAILS = "thumbnails.parquet"
TILES = 40  # images on a sheet, whatever the size of the category
SIDE = 120  # pixels of a tile
FRAME = 5  # pixels of a reference's border, within its tile
INSIDE = SIDE - 2 * FRAME  # longest side of a thumbnail

_SCHEMA = pa.schema([("image_id", pa.string()), LEVELS, ("png", pa.binary())])

Key = tuple[str, tuple[float, ...] | None]  # of the same bytes under the same levels


def key_of(row: Mapping[str, Any]) -> Key:
    """What decides a thumbnail: `image_id` and `levels` of an image's row."""
    return str(row["image_id"]), None if row["levels"] is None else tuple(row["levels"])


def thumbnail(uri: str, levels: Levels | None) -> Image.Image:
    """An image, RGB, at the size of a tile's inside.

    Raises:
        ImageError: it can't be read.
    """
    image = Image.fromarray(np.asarray(read_image(uri, levels)))
    image.thumbnail((INSIDE, INSIDE), reducing_gap=2.0)
    return image


def shown(listing: Listing, images: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The images that contact sheets are likely to show, whatever the split: rows of `INSPECTED`.

    Of each category those whose content hashes are the smallest, and of those that may be references too.

    Args:
        listing: categories and references.
        images: rows of `INSPECTED`.
    """
    decoded = {row["uri"]: row for row in images if row["phash"] is not None}
    by_category: dict[str, list[str]] = {}
    for source in listing.sources:
        for entry in source.entries:
            by_category.setdefault(entry.category, []).append(source.uri(entry))
    groups = [(uris, TILES) for uris in by_category.values()]
    candidates = listing.reference_candidates(listing.section).values()
    groups += [(list(some.uris), min(TILES, some.available)) for some in candidates]
    chosen: dict[Key, Mapping[str, Any]] = {}
    for uris, most in groups:
        distinct = {key_of(decoded[uri]): decoded[uri] for uri in uris if uri in decoded}
        usable = {key: row for key, row in distinct.items() if row["error"] is None}
        for some in (usable, distinct):  # labels at fault now may be corrected
            chosen |= {key: some[key] for key in sorted(some, key=lambda key: key[0])[:most]}
    return list(chosen.values())


def thumbnail_table(images: Sequence[Mapping[str, Any]], known: Mapping[Key, bytes]) -> pa.Table:
    """Thumbnails as PNG; an image that can't be read any more has none.

    Args:
        images: rows of `INSPECTED`.
        known: thumbnails that are there already.
    """
    return pa.Table.from_pylist(list(_rows(images, known)), schema=_SCHEMA)


def _rows(images: Sequence[Mapping[str, Any]], known: Mapping[Key, bytes]) -> Iterator[dict[str, Any]]:
    for row in images:
        png = known.get(key_of(row))
        if png is None:
            buffer = io.BytesIO()
            try:
                thumbnail(row["uri"], row["levels"]).save(buffer, "PNG")
            except ImageError:
                continue  # the sheet says so in its tile's place
            png = buffer.getvalue()
        yield {"image_id": row["image_id"], "levels": row["levels"], "png": png}


def by_key(table: pa.Table) -> dict[Key, bytes]:
    """The rows of a `thumbnail_table`."""
    return {key_of(row): row["png"] for row in table.to_pylist()}
