"""Rows of maps to rows of boxes: what is left out, thresholds per category, boxes as of single images."""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest

from cluster.storage.storage import Storage
from pipelines.boxes.pseudo_boxes import pseudo_boxes
from pipelines.boxes.rows import box_rows, category_thresholds, packed_ids, without
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.boxes.stage import SORTED, find_boxes
from pipelines.maps.rows import map_schema
from pipelines.tables.schemas import BOXES

GRID = 6


def maps_table(count: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    maps = rng.random((count, GRID, GRID)).astype(np.float16)
    rows = {
        "image_id": [f"{number:032x}" for number in range(count)],
        "uri": [f"/images/{number}.png" for number in range(count)],
        "category": [("rail", "billet")[number % 2] for number in range(count)],
        "width": [60 + number for number in range(count)],
        "height": [48] * count,
        "score": rng.random(count) * 2,
        "map_max": maps.reshape(count, -1).max(1).astype(np.float64),
        "map": pa.FixedShapeTensorArray.from_numpy_ndarray(maps),
    }
    schema = map_schema(GRID)
    return pa.table([rows[name] for name in schema.names], schema=schema)


def test_held_out_ids_are_left_out() -> None:
    rows = maps_table(7)
    ids = rows.column("image_id").to_pylist()
    kept = without(rows, packed_ids([ids[5], ids[0], "f" * 32]))
    assert kept.column("image_id").to_pylist() == [ids[n] for n in (1, 2, 3, 4, 6)]
    assert without(rows, packed_ids([])).equals(rows)


def test_thresholds_are_per_category_and_boxes_as_from_single_images() -> None:
    rows, settings = maps_table(40), PseudoBoxSettings(c=0.3, delta=0.5, min_area=4)
    thresholds = category_thresholds(rows, settings)
    listed = rows.to_pylist()
    for name in ("rail", "billet"):
        maxima = [row["map_max"] for row in listed if row["category"] == name]
        assert thresholds[name].threshold == pytest.approx(sum(maxima) / len(maxima) - 0.3)
        assert thresholds[name].images == 20
    done = box_rows(rows, thresholds, settings)
    assert done.schema.equals(BOXES)
    maps = rows.column("map").combine_chunks().to_numpy_ndarray().astype(np.float32)
    for row, anomaly_map, got in zip(listed, maps, done.to_pylist(), strict=True):
        wanted = pseudo_boxes(
            anomaly_map,
            row["score"],
            width=row["width"],
            height=row["height"],
            threshold=thresholds[row["category"]],
            settings=settings,
        )
        assert got["boxes"] == [pytest.approx(asdict(box), rel=1e-6) for box in wanted]
        assert (got["image_id"], got["width"]) == (row["image_id"], row["width"])
    assert box_rows(rows.slice(0, 0), thresholds, settings).num_rows == 0


@pytest.mark.ray
def test_two_passes_by_ray_give_what_one_process_gives(ray_cluster: None, tmp_path: object) -> None:
    rows, settings = maps_table(150, seed=1), PseudoBoxSettings(c=0.3, min_area=4)
    storage = Storage.open(str(tmp_path))
    for number in range(3):
        storage.write_table(f"maps/part-{number}.parquet", rows.slice(number * 50, 50))
    held_out = [f"{number:032x}" for number in (3, 77, 149)]
    thresholds, count = find_boxes(
        storage.at("maps"),
        held_out,
        settings,
        storage.at("work"),
        images=150,
    )
    table = storage.at("work").read_table(SORTED)
    assert count == table.num_rows
    kept = without(rows, packed_ids(held_out))
    wanted = category_thresholds(kept, settings)
    assert thresholds.keys() == wanted.keys()
    for name, threshold in thresholds.items():
        assert threshold.threshold == pytest.approx(wanted[name].threshold, rel=1e-12)
        assert threshold.delta == pytest.approx(wanted[name].delta, rel=1e-12)
    assert table.equals(box_rows(kept, thresholds, settings).sort_by("image_id"))
