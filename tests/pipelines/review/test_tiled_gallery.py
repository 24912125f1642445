"""The review page of maps whose grids differ."""

from pathlib import Path

import numpy as np
import pytest

import pipelines.review.gallery as gallery_file
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.review.gallery import Gallery
from tests.pipelines.tiled_tables import SHAPES, write_tiled


@pytest.mark.parametrize("limit", [256 << 20, 1])  # all files in memory, or one
def test_every_map_comes_with_its_own_rows_and_columns(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_file, "MAP_BYTES", limit)
    storage, maps = write_tiled(tmp_path)
    gallery = Gallery(storage, storage, PseudoBoxSettings())
    images = gallery.document()["images"]
    numbers = [int(image_id, 16) for image_id in images["id"]]
    assert numbers == [number for number in range(12) if number % 4 != 3]
    grids = list(zip(images["rows"], images["columns"], strict=True))
    assert grids == [SHAPES[number % len(SHAPES)][2:] for number in numbers]
    for number, found in zip(numbers, gallery.maps(range(len(gallery))), strict=True):
        np.testing.assert_array_equal(found, maps[number].astype(np.float32))
    gallery.warm()
