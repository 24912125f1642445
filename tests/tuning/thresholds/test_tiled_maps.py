"""Thresholds chosen on maps whose grids differ."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipelines.boxes.pseudo_boxes import CategoryThreshold, pseudo_boxes
from pipelines.boxes.section import PseudoBoxSettings
from tests.pipelines.tiled_tables import SHAPES, write_tiled
from tuning.thresholds.component_table import component_table
from tuning.thresholds.curves import threshold_curves
from tuning.thresholds.judged_maps import read_stored_maps
from tuning.thresholds.objective import ThresholdObjective
from tuning.thresholds.search import default_space


def test_components_are_the_boxes_of_each_map(tmp_path: Path) -> None:
    storage, maps = write_tiled(tmp_path, 24)
    (rail,), kind = read_stored_maps(storage, storage)
    assert kind == "masks"
    judged = rail.judged
    assert {each.shape for each in judged.maps} == {shape[2:] for shape in SHAPES}
    np.testing.assert_array_equal(judged.maxima, [each.max() for each in judged.maps])
    train = [grid for number, grid in enumerate(maps) if number % 4 != 3]
    assert judged.median == pytest.approx(float(np.median(np.concatenate([grid.ravel() for grid in train]))))
    knobs = PseudoBoxSettings(delta=0.0, min_area=1)
    with ThreadPoolExecutor(2) as pool:
        table = component_table(judged, 0.9, pool)
        chosen = table.selected(judged, delta=0.0, top_k=10, nms_iou=0.8, min_area=1)
        for place, grid in enumerate(judged.maps):
            width, height = (int(side) for side in judged.sizes[place])
            wanted = pseudo_boxes(
                grid,
                1.0,
                width=width,
                height=height,
                threshold=CategoryThreshold("rail", 1, 1.0, 0.9, 0.0),
                settings=knobs,
            )
            found = table.boxes[chosen & (table.image == place)]
            assert found.tolist() == [[box.x0, box.y0, box.x1, box.y1] for box in wanted]
        objective = ThresholdObjective([rail], knobs, "mask_iou", score_share=1.0, few_weight=0.5, pool=pool)
        assert all(dimension.key != "maps.kead.few_weight" for dimension in default_space([rail], knobs))
        figures = objective.measure({"boxes.c": 0.6, "boxes.delta": 1.0})
        assert figures["mask_iou"] > 0.4
        curves = threshold_curves(objective, {})
        assert len(curves.adaptive["all"]) == len(curves.c)
