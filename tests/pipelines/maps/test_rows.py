"""Rows of the maps job: pixels of what can be read, and a reason for what can't."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from cluster.storage.storage import Storage
from pipelines.images.reading import ImageError, read_image
from pipelines.maps.method import preprocess
from pipelines.maps.rows import decode_rows, readable_rows
from pipelines.tables.row_errors import read_errors, write_errors

SIZE = 24


@pytest.fixture
def rows(tmp_path: Path) -> pa.Table:
    """A picture between two files that are none."""
    cv2.imwrite(str(tmp_path / "b.png"), np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8))
    for name in "ac":
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    return pa.table({"image_id": list("abc"), "uri": [str(tmp_path / f"{name}.png") for name in "abc"]})


def reason(uri: str) -> str:
    with pytest.raises(ImageError) as unreadable:
        read_image(uri)
    return str(unreadable.value)


def test_each_row_has_pixels_or_an_error(rows: pa.Table) -> None:
    decoded = decode_rows(rows, SIZE)
    uris = rows.column("uri").to_pylist()
    assert decoded.select(["image_id", "uri"]).equals(rows)
    assert decoded.column("error").to_pylist() == [reason(uris[0]), None, reason(uris[2])]
    pixels = decoded.column("pixels").combine_chunks().to_numpy_ndarray()
    assert pixels.shape == (3, 3, SIZE, SIZE)
    assert not pixels[[0, 2]].any()
    np.testing.assert_array_equal(pixels[1], preprocess(read_image(uris[1]), SIZE))


def test_readable_rows_are_those_with_an_image(rows: pa.Table) -> None:
    good = readable_rows(decode_rows(rows, SIZE))
    assert good.column_names == ["image_id", "uri", "pixels"]
    assert good.column("image_id").to_pylist() == ["b"]
    assert good.column("pixels").combine_chunks().to_numpy_ndarray().any()
    assert readable_rows(decode_rows(rows.slice(0, 1), SIZE)).num_rows == 0


def test_a_batch_without_rows(rows: pa.Table) -> None:
    decoded = decode_rows(rows.slice(0, 0), SIZE)
    assert decoded.num_rows == 0
    assert decoded.schema.equals(decode_rows(rows, SIZE).schema)


def test_errors_are_written_once_and_stay_what_they_were(rows: pa.Table, tmp_path: Path) -> None:
    errors = Storage.open(str(tmp_path / "errors"))
    assert read_errors(errors) == {}
    write_errors(decode_rows(rows.slice(1, 1), SIZE), errors)
    assert read_errors(errors) == {}

    decoded = decode_rows(rows, SIZE)
    write_errors(decoded, errors)
    write_errors(decoded, errors)  # a task that Ray runs again
    assert len(errors.children()) == 1
    uris = rows.column("uri").to_pylist()
    reasons = {"a": reason(uris[0]), "c": reason(uris[2])}
    Path(uris[0]).write_bytes(Path(uris[1]).read_bytes())  # recovers after the job
    assert read_errors(errors) == reasons

    write_errors(decode_rows(rows.slice(2), SIZE), errors)  # a job that goes on has other batches
    assert read_errors(errors) == reasons
