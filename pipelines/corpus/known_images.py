"""Images that earlier inspections of a workspace have read: the same file is not read twice."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import UserError
from cluster.stages import RECORD
from cluster.storage import Storage
from pipelines.corpus.inspected import INSPECTED, LOOKS, TO_READ
from pipelines.corpus.joining import joined
from pipelines.corpus.places import Places, among, first_of_each, places_in
from pipelines.corpus.thumbnails import THUMBNAILS, Key, by_key, key_of

INSPECTION, READ, TAKEN = "inspection", "read", "taken.parquet"
_LISTED = ("uri", "category", "normal", "labelled")
_ASKED = ("levels", *(field.name for field in LOOKS), "boxes", "mask", "ignored", "error", "faults")


def inspected_images(directory: Storage, columns: Sequence[str] = INSPECTED.names) -> pa.Table:
    """The images of an inspection, schema `INSPECTED`: those that it read and those that it took over.

    Args:
        directory: of the inspection's artifact.
        columns: the only columns read.
    """
    names = list(columns)
    taken = directory.read_table(TAKEN, columns=names).select(names)
    read = directory.at(READ)
    if not read.children():
        return taken
    schema = pa.schema([INSPECTED.field(name) for name in names])
    return pa.concat_tables([taken, read.read_table("", columns=names).select(names).cast(schema)])


def joined_inspection(
    directory: Storage, listed: Iterable[pa.RecordBatch], uris: Callable[[], pa.Array]
) -> pa.Table:
    """The listed images with what an inspection read of them, as far as a `Corpus` asks for it, see `joined`.

    Args:
        directory: of the inspection's artifact.
        listed: pieces of the listing, schema `LISTED`.
        uris: function that gives the images of all pieces.
    """
    places = places_in(inspected_images(directory, ["uri"])["uri"].combine_chunks(), uris())
    rows = pa.array(places, mask=places < 0)
    read = pa.table({name: _read(directory, name, rows) for name in (*_ASKED, "empty")})
    return joined(listed, read, [*_LISTED, *_ASKED])


def _read(directory: Storage, name: str, rows: pa.Array) -> pa.ChunkedArray:
    """One column of an inspection in the listing's order; one at a time is there twice."""
    return inspected_images(directory, [name]).combine_chunks()[name].take(rows)


class KnownImages:
    """What the complete inspections of a workspace hold, the newest first.

    Args:
        workspace: root of all stages.
        revision: of the inspections that may serve.
    """

    def __init__(self, workspace: Storage, revision: int) -> None:
        self._folder, self._revision = workspace.at(INSPECTION), revision

    @cached_property
    def _inspections(self) -> list[Storage]:
        complete = []
        for name in self._folder.children():
            directory = self._folder.at(name)
            if directory.exists(RECORD):
                with _intact(directory):
                    record = directory.read_json(RECORD)
                    if record["revision"] == self._revision:
                        complete.append((str(record["started"]), directory))
        return [directory for _, directory in sorted(complete, key=lambda each: each[0], reverse=True)]

    def among(self, wanted: pa.Table) -> tuple[pa.Table, pa.Table]:
        """What is known of images, and what is yet to be read.

        An image that could not be used is read again, whatever was at fault. Where only the label changed,
        the image is not decoded.

        Args:
            wanted: schema `TO_READ`.

        Returns:
            The images known with their labels, schema `INSPECTED`; the others, schema `TO_READ`, with their
            looks where these are known.
        """
        keys = _both(wanted)
        missing = np.ones(wanted.num_rows, np.bool_)
        looks, whole = [INSPECTED.empty_table()], [INSPECTED.empty_table()]
        for directory in self._inspections:
            if not missing.any():
                break
            with _intact(directory):
                images = inspected_images(directory)
            asked = wanted["looks_key"].filter(pa.array(missing))
            images = images.filter(pa.array(among(images["looks_key"], asked)))
            looks.append(images.filter(images["phash"].is_valid()))
            whole.append(images.filter(images["error"].is_null()))
            missing &= ~among(keys, _both(whole[-1]))
        known = pa.concat_tables(whole)
        places = _places(_both(known), keys)
        taken = known.take(pa.array(places[places >= 0]))
        unknown = wanted.filter(pa.array(places < 0))
        column = unknown.column_names.index("looks")
        return taken, unknown.set_column(
            column, TO_READ.field("looks"), _looks(pa.concat_tables(looks), unknown)
        )

    def thumbnails(self, images: Sequence[Mapping[str, Any]]) -> dict[Key, bytes]:
        """The thumbnails that earlier inspections have made of some images (rows of `INSPECTED`)."""
        missing, known = {key_of(row) for row in images}, dict[Key, bytes]()
        for directory in self._inspections:
            if not missing:
                break
            with _intact(directory):
                made = by_key(directory.read_table(THUMBNAILS))
            known |= {key: made[key] for key in missing & made.keys()}
            missing -= made.keys()
        return known


def _both(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(rows["looks_key"], rows["label_key"], "")


def _places(known: pa.ChunkedArray, wanted: pa.ChunkedArray) -> Places:
    """Where each text is first; -1 where it is not there."""
    first = np.unique(first_of_each(known))
    places = places_in(known.take(pa.array(first)), wanted)
    return np.where(places < 0, -1, first[places]) if len(first) else places


def _looks(known: pa.Table, unknown: pa.Table) -> pa.Array:
    """The looks of images, null where they are not known: schema `LOOKS`."""
    places = _places(known["looks_key"], unknown["looks_key"])
    rows = pa.array(places, mask=places < 0)
    columns = [known[field.name].take(rows).combine_chunks() for field in LOOKS]
    return pa.StructArray.from_arrays(columns, fields=list(LOOKS), mask=pa.array(places < 0))


@contextmanager
def _intact(directory: Storage) -> Iterator[None]:
    try:
        yield
    except (
        ValueError,
        RecursionError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # Arrow's errors of files are ValueErrors
        raise UserError(
            f"The inspection {directory.uri} is damaged; delete that folder, its images are read anew."
        ) from None
