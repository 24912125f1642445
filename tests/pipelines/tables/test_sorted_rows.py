"""Rows of many files sorted through temporary ones against Python's sort."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from cluster.storage import Storage
from pipelines.tables import sorted_rows, write_sorted

SCHEMA = pa.schema([("id", pa.string()), ("boxes", pa.list_(pa.float64()))])
rows = st.lists(st.tuples(st.text("ab0é", max_size=3), st.lists(st.floats(0, 1), max_size=2)), max_size=20)


@given(st.lists(rows, min_size=1, max_size=4), st.integers(1, 7), st.integers(1, 3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rows_against_a_sort(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[list[tuple[str, list[float]]]],
    size: int,
    parts: int,
) -> None:
    monkeypatch.setattr(sorted_rows, "PART_ROWS", size)
    monkeypatch.setattr(sorted_rows, "MOST_PARTS", parts)
    storage = Storage.open(str(tmp_path))
    storage.delete("found")
    for number, some in enumerate(files):
        columns: dict[str, list[Any]] = {"boxes": [boxes for _, boxes in some]}
        columns |= {"id": [name for name, _ in some], "more": [1] * len(some)}
        schema = pa.schema([SCHEMA.field("boxes"), SCHEMA.field("id"), ("more", pa.int64())])
        storage.write_table(f"found/{number}.parquet", pa.table(columns, schema=schema))
    count = write_sorted(storage.at("found"), storage, "sorted.parquet", schema=SCHEMA, column="id")
    wanted = sorted((row for some in files for row in some), key=lambda row: row[0].encode())
    table = storage.read_table("sorted.parquet")
    assert count == len(wanted)
    assert table.schema.equals(SCHEMA)
    assert [(row["id"], row["boxes"]) for row in table.to_pylist()] == wanted
