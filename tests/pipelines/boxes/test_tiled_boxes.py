"""Boxes of maps whose grids differ: each as of its map by itself, and over the defect."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipelines.boxes.pseudo_boxes import pseudo_boxes
from pipelines.boxes.rows import box_rows, category_thresholds
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.maps.grids import map_grids
from tests.pipelines.tiled_tables import SHAPES, hot_place, write_tiled


@pytest.mark.parametrize("rule", ["paper", "standardised", "hysteresis"])
def test_boxes_lie_over_the_hot_cell_of_every_grid(rule: str, tmp_path: Path) -> None:
    storage, maps = write_tiled(tmp_path)
    rows = storage.read_table("maps")
    settings = PseudoBoxSettings.model_validate(
        {"rule": rule, "c": 0.4, "delta": 1.0, "min_area": 1, "standardised": {"least_share": 0, "cut": 3}}
    )
    thresholds = category_thresholds(rows, settings)
    assert thresholds["rail"].mean_max == pytest.approx(np.mean([float(grid.max()) for grid in maps]))
    done = box_rows(rows, thresholds, settings)
    again = box_rows(pa.concat_tables([rows.slice(0, 5), rows.slice(5)]), thresholds, settings)
    assert done.equals(again)
    for number, (row, grid) in enumerate(zip(done.to_pylist(), map_grids(rows), strict=True)):
        width, height, down, across = SHAPES[number % len(SHAPES)]
        alone = pseudo_boxes(
            grid,
            float(grid.max()) + 0.1,
            width=width,
            height=height,
            threshold=thresholds["rail"],
            settings=settings,
        )
        found = [(box["x0"], box["y0"], box["x1"], box["y1"]) for box in row["boxes"]]
        assert found == [(box.x0, box.y0, box.x1, box.y1) for box in alone]
        if number % 3 == 0:
            assert found == []
            continue
        (y, x), (box,) = hot_place(number), found
        centre = (x + 0.5) * width / across, (y + 0.5) * height / down
        assert box[0] <= centre[0] <= box[2]
        assert box[1] <= centre[1] <= box[3]
        assert box[2] - box[0] <= 2.5 * width / across + 2
        assert box[3] - box[1] <= 2.5 * height / down + 2
