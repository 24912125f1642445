"""The reader of a corpus artifact, on a small one written by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.storage.storage import Storage
from pipelines.tables.box_sides import box_array, sides
from pipelines.tables.corpus_tables import CorpusTables, has_defect
from pipelines.tables.schemas import HASHES, LABELS, MANIFEST

CRACK = {"x0": 1.0, "y0": 2.0, "x1": 3.5, "y1": 4.0, "label": "crack"}


def row(image_id: str, category: str, split: str, role: str = "train") -> dict[str, Any]:
    about = {"image_id": image_id, "uri": f"/{image_id}.png", "category": category}
    levels = [200.0, 4000.0] if image_id in "ad" else None
    return about | {"split": split, "role": role, "width": 8, "height": 6, "levels": levels}


ROWS = [
    row("c", "tile", "train"),
    row("a", "tile", "unlabelled", "reference"),
    row("d", "strip", "test"),
    row("b", "tile", "unlabelled", "reference"),
    row("e", "strip", "test"),
]


@pytest.fixture
def directory(tmp_path: Path) -> Storage:
    """Five images in two files; the crack of `c` has a mask, that of `d` has none, and `e` is normal.

    `a` has a crack too, but as a region that evaluation ignores.
    """
    storage = Storage.open(str(tmp_path))
    for number, rows in enumerate((ROWS[:2], ROWS[2:])):
        table = pa.Table.from_pylist(rows, schema=MANIFEST)
        storage.write_table(f"manifest/part-{number}.parquet", table)
    labels = [
        {"image_id": "a", "boxes": [], "mask": None, "ignored": [CRACK]},
        {"image_id": "c", "boxes": [CRACK], "mask": "runs"},
        {"image_id": "d", "boxes": [CRACK, CRACK], "mask": None},
        {"image_id": "e", "boxes": [], "mask": None},
    ]
    storage.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    hashes = [{"image_id": each["image_id"], "phash": each["image_id"] * 4} for each in ROWS]
    storage.write_table("hashes.parquet", pa.Table.from_pylist(hashes, schema=HASHES))
    return storage


@pytest.fixture
def tables(directory: Storage) -> CorpusTables:
    return CorpusTables(directory)


def test_the_manifest_has_every_image_in_order(tables: CorpusTables) -> None:
    assert tables.manifest() == ROWS
    assert tables.manifest_table().schema.equals(MANIFEST)


def test_levels_are_those_of_the_images_that_have_some(tables: CorpusTables) -> None:
    assert tables.levels() == {"a": (200.0, 4000.0), "d": (200.0, 4000.0)}
    assert tables.levels("uri") == {"/a.png": (200.0, 4000.0), "/d.png": (200.0, 4000.0)}


def test_the_manifest_of_one_split_and_of_some_columns(tables: CorpusTables) -> None:
    assert tables.manifest(split="test") == [ROWS[2], ROWS[4]]
    assert [dict(each) for each in tables.manifest(columns=("uri",))] == [{"uri": row["uri"]} for row in ROWS]
    (trained,) = tables.manifest(split="train", columns=("uri", "split"))
    assert dict(trained) == {"uri": "/c.png", "split": "train"}
    assert tables.manifest_table(("width",)).column_names == ["width"]


def test_held_out_and_pretraining_images_are_all_images(tables: CorpusTables) -> None:
    assert tables.held_out() == {"d", "e"}
    assert tables.pretraining() == {"a", "b", "c"}


def test_references_by_category_with_a_key_for_each(tables: CorpusTables) -> None:
    assert tables.references() == {"strip": [], "tile": ["/a.png", "/b.png"]}
    assert list(tables.references()) == ["strip", "tile"]


def test_labels_boxes_and_masks_of_what_is_known(tables: CorpusTables) -> None:
    labels = tables.labels()
    assert labels["c"] == {"image_id": "c", "boxes": [CRACK], "mask": "runs", "ignored": []}
    assert {name: len(found["boxes"]) for name, found in labels.items()} == {"a": 0, "c": 1, "d": 2, "e": 0}
    assert tables.boxes() == {"a": [], "c": [CRACK], "d": [CRACK, CRACK], "e": []}
    assert tables.masks() == {"c": "runs"}
    assert tables.labelled() == {"a", "c", "d", "e"}
    assert tables.ignored() == {"a": [CRACK]}
    assert [name for name, found in labels.items() if has_defect(found)] == ["a", "c", "d"]


def test_a_table_of_before_ignored_regions_has_none(directory: Storage) -> None:
    old = directory.read_table("labels.parquet").drop_columns(["ignored"])
    directory.write_table("labels.parquet", old)
    tables = CorpusTables(directory)
    assert [found["ignored"] for found in tables.labels().values()] == [[], [], [], []]
    assert tables.ignored() == {}
    assert tables.boxes()["c"] == [CRACK]


def test_hashes_by_image(tables: CorpusTables) -> None:
    assert tables.hashes() == {name: name * 4 for name in "abcde"}


def test_a_missing_table_is_told(directory: Storage) -> None:
    directory.delete("labels.parquet")
    with pytest.raises(FileNotFoundError):
        CorpusTables(directory).labels()


def test_sides_of_a_box_and_of_many() -> None:
    assert sides(CRACK) == (1.0, 2.0, 3.5, 4.0)
    array = box_array([CRACK, {**CRACK, "y1": 5}])
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [[1, 2, 3.5, 4], [1, 2, 3.5, 5]])
    assert box_array([]).shape == (0, 4)
