"""Rows of a table by their places: which text comes first, where a text is. Arrays instead of dicts."""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def flags(column: pa.ChunkedArray) -> Flags:
    """A column of truth values; null is false."""
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), np.bool_)


def among(column: pa.ChunkedArray, texts: Collection[str] | pa.ChunkedArray) -> Flags:
    """Which rows of a column of texts are among others."""
    wanted = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(list(texts), pa.string())
    return flags(pc.is_in(column, value_set=wanted.cast(column.type)))


def places_in(column: pa.ChunkedArray, texts: pa.ChunkedArray) -> Places:
    """Where each text is in a column of different ones; -1 where it is not there."""
    found = pc.index_in(texts.cast(column.type), value_set=column)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)


def filled(column: pa.ChunkedArray) -> Flags:
    """Which rows of a column of lists have anything in theirs."""
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(), np.int64) > 0


def first_of_each(column: pa.ChunkedArray) -> Places:
    """For each row the place of the first row with its text, (N,)."""
    numbers = column.dictionary_encode()
    joined = numbers.combine_chunks() if isinstance(numbers, pa.ChunkedArray) else numbers
    codes = joined.indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    return np.asarray(first[codes] if len(codes) else codes, np.int64)


def counts_of(column: pa.ChunkedArray) -> dict[Any, int]:
    """How often each value is in a column."""
    return {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()}
