"""Figures of categories against plain loops."""

import statistics as plain
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.corpus.statistics import category_statistics, grey_levels


def test_grey_levels_are_those_of_the_luma() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (23, 31, 3), dtype=np.uint8)
    luma = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    found = grey_levels(image)
    # Pillow rounds each pixel.
    assert found["grey_mean"] == pytest.approx(luma.mean(), abs=0.6)
    assert found["grey_deviation"] == pytest.approx(luma.std(), abs=0.6)
    assert grey_levels(np.full((9, 9, 3), 77, np.uint8)) == {"grey_mean": 77.0, "grey_deviation": 0.0}


def test_categories_against_loops() -> None:
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = [
        {
            "image_id": f"{number:032x}",
            "category": str(rng.choice(["b", "a"])),
            "split": str(rng.choice(["train", "test", "unlabelled"])),
            "role": str(rng.choice(["train", "reference"])),
            "width": int(rng.integers(8, 500)),
            "height": int(rng.integers(8, 500)),
            "grey_mean": float(rng.uniform(0, 255)),
            "grey_deviation": float(rng.uniform(0, 80)),
        }
        for number in range(41)
    ]
    labelled = [row["image_id"] for row in rows[::3]]
    known = [{**row, "labelled": row["image_id"] in labelled} for row in rows]
    table = category_statistics(pa.Table.from_pylist(known), {"b": 5, "z": 2}).to_pylist()
    assert [row["category"] for row in table] == ["a", "b", "z"]
    for found in table[:2]:
        part = [row for row in rows if row["category"] == found["category"]]
        assert found["images"] == len(part)
        for split in ("train", "test", "unlabelled"):
            assert found[split] == sum(row["split"] == split for row in part)
        assert found["references"] == sum(row["role"] == "reference" for row in part)
        assert found["labelled"] == sum(row["image_id"] in labelled for row in part)
        assert found["labelled_share"] == pytest.approx(found["labelled"] / len(part))
        for side in ("width", "height"):
            sizes = [row[side] for row in part]
            figures = [found[f"{side}_{what}"] for what in ("min", "median", "max")]
            assert figures == [min(sizes), plain.median(sizes), max(sizes)]
        assert found["grey_mean"] == pytest.approx(plain.fmean(row["grey_mean"] for row in part))
        assert found["grey_deviation"] == pytest.approx(plain.fmean(row["grey_deviation"] for row in part))
    assert [row["quarantined"] for row in table] == [0, 5, 2]
    assert table[2]["images"] == 0
    assert table[2]["width_median"] is None


def test_nothing_at_all() -> None:
    names = ("category", "split", "role", "width", "height", "grey_mean", "grey_deviation", "labelled")
    nothing = pa.table({name: pa.array([], pa.string()) for name in names})
    assert category_statistics(nothing, {}).num_rows == 0
