"""Digests of tables: by content alone, not by chunks, files or metadata."""

from pathlib import Path

import pyarrow as pa
from hypothesis import given, strategies as st

from cluster.storage.storage import Storage
from pipelines.tables.digests import table_digest, tables_digests

ROWS = st.lists(st.tuples(st.none() | st.text(max_size=5), st.none() | st.lists(st.floats(0, 9), max_size=3)))


def table_of(rows: list[tuple[str | None, list[float] | None]]) -> pa.Table:
    columns = {"name": pa.array([name for name, _ in rows], pa.string())}
    columns["sides"] = pa.array([sides for _, sides in rows], pa.list_(pa.float64()))
    return pa.table(columns)


@given(ROWS, ROWS, st.integers(0, 5))
def test_only_the_content_counts(
    rows: list[tuple[str | None, list[float] | None]],
    others: list[tuple[str | None, list[float] | None]],
    cut: int,
) -> None:
    whole = table_of(rows)
    pieces = pa.concat_tables([table_of(rows[:cut]), table_of(rows[cut:])])
    assert table_digest(pieces.replace_schema_metadata({"made": "later"})) == table_digest(whole)
    assert (table_digest(table_of(others)) == table_digest(whole)) == (rows == others)


def test_a_type_or_a_name_counts() -> None:
    column = pa.array([1, 2], pa.int32())
    digests = {table_digest(pa.table({name: column})) for name in ("a", "b")}
    assert len(digests | {table_digest(pa.table({"a": column.cast(pa.int64())}))}) == 3


def test_every_table_of_a_folder_counts_however_it_was_written(tmp_path: Path) -> None:
    table = table_of([("a", [1.0]), (None, None)])
    for name in ("one", "two"):
        folder = Storage.open(str(tmp_path / name))
        folder.write_table("labels.parquet", table)
        folder.write_table("manifest/part-0.parquet", table)
    expected = tables_digests(Storage.open(str(tmp_path / "one")))
    assert set(expected) == {"manifest", "labels.parquet"}
    import pyarrow.parquet as pq

    pq.write_table(table, tmp_path / "two/labels.parquet", compression="snappy", row_group_size=1)
    (tmp_path / "two/sheet.png").write_bytes(b"a picture")
    assert tables_digests(Storage.open(str(tmp_path / "two"))) == expected
