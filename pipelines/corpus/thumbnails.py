"""Thumbnails of the images that contact sheets show: small, without loss, made once from the file."""

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from pipelines.corpus.listing import Listing
from pipelines.corpus.places import Places, places_in
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


def shown(listing: Listing, images: pa.Table) -> list[Mapping[str, Any]]:
    """The images that contact sheets are likely to show, whatever the split: rows of `INSPECTED`.

    Of each category those whose content hashes are the smallest, and of those that may be references too.

    Args:
        listing: categories and references.
        images: schema `INSPECTED`.
    """
    columns = images.select(["uri", "image_id", "levels", "error"])
    decoded = columns.filter(images["phash"].is_valid()).combine_chunks()
    places = places_in(decoded["uri"], listing.uris())
    groups = [(own[own >= 0], TILES) for own in _by_category(listing, places)]
    for some in listing.reference_candidates(listing.section).values():
        own = places_in(decoded["uri"], some.uris) if len(some.uris) else np.empty(0, np.int64)
        groups.append((own[own >= 0], min(TILES, some.available)))
    chosen: dict[Key, Mapping[str, Any]] = {}
    for own, most in groups:
        distinct = _first_by_content(decoded, own, most)
        usable = {key: row for key, row in distinct.items() if row["error"] is None}
        for rows in (usable, distinct):  # labels at fault now may be corrected
            chosen |= {key: rows[key] for key in sorted(rows, key=lambda key: key[0])[:most]}
    return list(chosen.values())


def _by_category(listing: Listing, places: Places) -> list[Places]:
    """The places of each category's images, in the listing's order."""
    found: dict[str, list[Places]] = {}
    start = 0
    for entries in (piece for source in listing.sources for piece in source.entries.pieces()):
        own = places[start : start + len(entries)]
        start += len(entries)
        categories = np.array([entry.category for entry in entries], object)
        for category in dict.fromkeys(categories.tolist()):
            found.setdefault(category, []).append(own[categories == category])
    return [np.concatenate(parts) for parts in found.values()]


def _first_by_content(decoded: pa.Table, places: Places, most: int) -> dict[Key, Mapping[str, Any]]:
    """Images by content hash, the smallest first, until `most` usable ones are there; of copies the last."""
    found: dict[Key, Mapping[str, Any]] = {}
    ids = decoded["image_id"].take(pa.array(places))
    ordered, last = places[pc.sort_indices(ids).to_numpy()], None
    for start in range(0, len(ordered), 4 * TILES):
        for row in decoded.take(pa.array(ordered[start : start + 4 * TILES])).to_pylist():
            if row["image_id"] != last and sum(one["error"] is None for one in found.values()) >= most:
                return found
            found[key_of(row)], last = row, row["image_id"]
    return found


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
