"""Maps in a column of a table: of one grid all, or each of its own (tiled images)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

# Of maps with grids of their own: `cells` row by row, `shape` rows and columns.
GRID = pa.struct([("cells", pa.list_(pa.float16())), ("shape", pa.list_(pa.int32(), 2))])


def grid_column(maps: Sequence[npt.NDArray[np.float16]]) -> pa.StructArray:
    """Maps, (rows, columns) float16 each, as a column of type `GRID`."""
    offsets = np.cumsum([0, *(each.size for each in maps)]).astype(np.int32)
    cells = pa.array(
        np.concatenate([np.zeros(0, np.float16), *(each.ravel() for each in maps)]), pa.float16()
    )
    sides = pa.array(np.array([each.shape for each in maps], np.int32).ravel(), pa.int32())
    return pa.StructArray.from_arrays(
        [pa.ListArray.from_arrays(pa.array(offsets), cells), pa.FixedSizeListArray.from_arrays(sides, 2)],
        fields=list(GRID),
    )


def map_grids(table: pa.Table, name: str = "map") -> list[npt.NDArray[np.float32]]:
    """The maps of a table's rows, (rows, columns) float32 each, whichever way they are stored.

    Args:
        table: rows of the maps table.
        name: column of the maps.
    """
    if table.num_rows == 0:
        return []
    column = table.column(name).combine_chunks()
    if isinstance(column.type, pa.FixedShapeTensorType):
        return list(column.to_numpy_ndarray().astype(np.float32))
    cells, shapes = column.field("cells"), column.field("shape")
    offsets = cells.offsets.to_numpy()
    values = cells.values.to_numpy(zero_copy_only=False)
    sides = shapes.flatten().to_numpy().reshape(-1, 2)
    return [
        values[start:stop].astype(np.float32).reshape(rows, columns)
        for start, stop, (rows, columns) in zip(offsets[:-1], offsets[1:], sides.tolist(), strict=True)
    ]


def grid_shapes(file: pq.ParquetFile, name: str = "map") -> list[tuple[int, int]]:
    """Rows and columns of each map of a file of the maps table, without reading the maps."""
    kind = file.schema_arrow.field(name).type
    if isinstance(kind, pa.FixedShapeTensorType):
        rows, columns = kind.shape
        return [(rows, columns)] * file.metadata.num_rows
    shapes = file.read(columns=[f"{name}.shape"]).column(name).to_pylist()
    return [(row["shape"][0], row["shape"][1]) for row in shapes]
