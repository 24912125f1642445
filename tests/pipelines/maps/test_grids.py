"""Maps come back from their column, whichever way it is sliced, joined or stored."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings, strategies as st

from pipelines.maps.grids import GRID, grid_column, grid_shapes, map_grids

SHAPES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=6)


@settings(max_examples=50, deadline=None)
@given(first=SHAPES, second=SHAPES, start=st.integers(0, 6), length=st.integers(0, 12))
def test_maps_of_their_own_grids(
    first: list[tuple[int, int]], second: list[tuple[int, int]], start: int, length: int
) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.random(shape).astype(np.float16) for shape in [*first, *second]]
    parts = [
        pa.table({"number": pa.array(range(len(some)), pa.int64()), "map": grid_column(some)})
        for some in (maps[: len(first)], maps[len(first) :])
    ]
    table = pa.concat_tables(parts)
    assert table.schema.field("map").type == GRID
    for some, wanted in ((table, maps), (table.slice(start, length), maps[start:][:length])):
        found = map_grids(some)
        assert [each.dtype for each in found] == [np.float32] * len(wanted)
        for got, want in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(got, want)


def test_shapes_are_known_without_the_maps(tmp_path: Path) -> None:
    shapes = [(3, 40), (15, 15), (7, 2)]
    own = pa.table({"map": grid_column([np.ones(shape, np.float16) for shape in shapes])})
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(2 * 36, dtype=np.float16).reshape(2, 6, 6))
    one = pa.table({"map": tensor})
    for name, table, wanted in (("own", own, shapes), ("one", one, [(6, 6), (6, 6)])):
        pq.write_table(table, tmp_path / name)
        assert grid_shapes(pq.ParquetFile(tmp_path / name)) == wanted
        assert [each.shape for each in map_grids(pq.read_table(tmp_path / name))] == wanted
    np.testing.assert_array_equal(np.stack(map_grids(one)), np.arange(72).reshape(2, 6, 6))
