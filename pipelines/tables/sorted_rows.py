"""Rows of many files in order in one, with a part of them in memory at a time."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.storage import Storage

PART_ROWS = 1 << 16
MOST_PARTS = 256  # files that are open at once


def write_sorted(source: Storage, target: Storage, name: str, *, schema: pa.Schema, column: str) -> int:
    """Write the rows of a directory's Parquet files into one file, by a column of text.

    Only that column is held for all rows. The rows go into temporary files, each of a range of the order, and
    from there into the target, one range after the other.

    Args:
        source: directory of the files.
        target, name: where the one file is written.
        schema: its columns.
        column: what decides the order; rows with equal texts stay in the order of their files.

    Returns:
        Number of rows.
    """
    files = source.children()
    keys = pa.concat_arrays(
        [pa.array([], pa.large_string())]
        + [
            chunk.cast(pa.large_string())
            for file in files
            for chunk in source.read_table(file, columns=[column]).column(column).chunks
        ]
    )
    count = len(keys)
    size = max(PART_ROWS, -(-count // MOST_PARTS))
    part = np.empty(count, np.int32)
    part[pc.sort_indices(keys).to_numpy()] = np.arange(count) // size
    del keys
    tables = (
        source.read_table(file, columns=schema.names).select(schema.names).cast(schema) for file in files
    )
    with tempfile.TemporaryDirectory(prefix="agssp-") as folder:
        paths = [Path(folder) / f"{number}.arrow" for number in range(-(-count // size))]
        _scatter(tables, part, paths, schema)
        target.write_pieces(name, schema, (_gathered(path).sort_by(column) for path in paths))
    return count


def _scatter(tables: Iterator[pa.Table], part: np.ndarray, paths: Sequence[Path], schema: pa.Schema) -> None:
    """Each row into the file of its part."""
    with ExitStack() as stack:
        files = [stack.enter_context(pa.OSFile(str(path), "wb")) for path in paths]
        streams = [stack.enter_context(pa.ipc.new_stream(file, schema)) for file in files]
        start = 0
        for table in tables:
            own = part[start : start + table.num_rows]
            start += table.num_rows
            for number in np.unique(own):
                streams[number].write_table(table.filter(pa.array(own == number)))


def _gathered(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
        return stream.read_all()
