"""Listed images with what was read of them, column by column: what a `Corpus` is made of."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.annotations import LabelFault
from pipelines.corpus.bad_labels import empty_rows, fault_row, marks_nothing
from pipelines.corpus.inspected import FOUND, LOOKS, TRUTH
from pipelines.corpus.places import filled, flags
from pipelines.tables import LISTED

JOINED = pa.schema(
    [
        *(field for field in LISTED if field.name != "annotation"),
        *LOOKS,
        *(field for field in TRUTH if field[0] != "empty"),
        *FOUND,
    ]
)
_LISTED = ("uri", "path", "category", "fault")
_CHANGED = ("normal", "labelled", "boxes", "ignored", "error", "faults")


def joined(listed: Iterable[pa.RecordBatch], read: pa.Table, names: Sequence[str] = JOINED.names) -> pa.Table:
    """The listed images with their looks, labels and faults.

    Args:
        listed: the images, schema `LISTED`; one that the listing itself faults needs no row of its own.
        read: what was read of each, in the same order: `INSPECTED` without its keys, null where nothing was.
        names: the columns of `JOINED` that are wanted.

    Raises:
        ValueError: an image without fault that was not read.
    """
    parts: dict[str, list[pa.Array]] = {name: [] for name in names if name in {*_LISTED, *_CHANGED}}
    start = 0
    for batch in listed:
        changed = _changed(batch, read.slice(start, batch.num_rows).combine_chunks())
        start += batch.num_rows
        for name, arrays in parts.items():
            arrays.append(changed[name] if name in changed else batch.column(name))
    columns = {}
    for name in names:  # one after the other, so that the parts of one alone are there twice
        if name not in parts:
            columns[name] = read[name]
            continue
        column = pa.chunked_array(parts.pop(name), JOINED.field(name).type)
        columns[name] = pa.table({name: column}).combine_chunks()[name]
        del column
    return pa.table(columns).cast(pa.schema([JOINED.field(name) for name in names]))


def _changed(listed: pa.RecordBatch, read: pa.Table) -> dict[str, pa.Array]:
    """The columns that say something else of a listed image than what was read alone."""
    read = {name: _array(read[name]) for name in ("boxes", "ignored", "empty", "error", "faults", *_MASKED)}
    fault, note, uris = (listed.column(name) for name in ("fault", "annotation", "uri"))
    faulty = flags(fault.is_valid())
    for place in np.flatnonzero(~faulty & flags(read["empty"].is_null()))[:1]:
        raise ValueError(f"{uris[place]} was listed, but its inspection is missing")
    annotated = flags(note.is_valid()) & flags(read["error"].is_null()) & ~faulty
    empty_is_normal = flags(pc.struct_field(note, "empty_is_normal"))
    normal = flags(listed.column("normal")) | (annotated & flags(read["empty"]) & empty_is_normal)
    defect = filled(read["boxes"]) | filled(read["ignored"])
    faults: dict[int, list[dict[str, Any]]] = {}
    for place in np.flatnonzero(faulty).tolist():
        faults[place] = [fault_row(LabelFault("", None, fault[place].as_py()), uris[place].as_py())]
    for place in np.flatnonzero(annotated & ~normal & ~defect).tolist():
        row = {name: read[name][place].as_py() for name in ("boxes", "ignored", *_MASKED)}
        if marks_nothing(row, row["width"], row["height"]):
            told = empty_rows(note[place].as_py()["files"], uris[place].as_py())
            faults[place] = read["faults"][place].as_py() + told
    nothing: dict[int, list[dict[str, Any]]] = {place: [] for place in np.flatnonzero(faulty).tolist()}
    return {
        "normal": pa.array(normal),
        "labelled": listed.column("labelled"),
        "error": pc.coalesce(fault, read["error"]),
        "boxes": _with(read["boxes"], nothing),
        "ignored": _with(read["ignored"], nothing),
        "faults": _with(read["faults"], faults),
    }


_MASKED = ("mask", "width", "height")


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _with(column: pa.Array, rows: dict[int, list[dict[str, Any]]]) -> pa.Array:
    """A column with other values in some rows."""
    if not rows:
        return column
    return pa.array([rows.get(place, value) for place, value in enumerate(column.to_pylist())], column.type)
