"""Rows of the maps table turned into rows of the boxes table, batch by batch. No Ray here."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.boxes.outlines import runs_of
from pipelines.boxes.pseudo_boxes import CategoryThreshold, category_threshold, pseudo_regions
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.maps import map_grids
from pipelines.tables import BOXES

MASKED = pa.schema([*BOXES, ("masks", pa.list_(pa.string()))])
OUTLINES = pa.schema([MASKED.field("image_id"), MASKED.field("masks")])
STATISTICS = ("image_id", "category", "score", "map_max")  # columns of the first pass
ROWS_AT_ONCE = 1 << 16  # ids that are Python objects for a moment
Ids = npt.NDArray[np.bytes_]


def packed_ids(ids: list[str]) -> Ids:
    """Sorted ids as one array, which Ray's workers share without a copy."""
    return np.sort(np.array(ids, dtype=np.bytes_))


def without(rows: pa.Table, ids: Ids) -> pa.Table:
    """The rows whose `image_id` is not among the packed ids."""
    kept = [
        ~np.isin(np.array(some.column("image_id").to_pylist(), np.bytes_), ids)
        for some in rows.to_batches(max_chunksize=ROWS_AT_ONCE)
    ]
    return rows.filter(pa.array(np.concatenate([np.empty(0, np.bool_), *kept])))


Settings = PseudoBoxSettings | Mapping[str, PseudoBoxSettings]  # one for all categories, or by category


def settings_for(category: str, settings: Settings) -> PseudoBoxSettings:
    """The settings that hold for a category."""
    return settings if isinstance(settings, PseudoBoxSettings) else settings[category]


def category_thresholds(rows: pa.Table, settings: Settings) -> dict[str, CategoryThreshold]:
    """Threshold and δ of each category, from all its rows (`STATISTICS` columns)."""
    maxima, scores = (rows.column(name).to_numpy() for name in ("map_max", "score"))
    thresholds = {}
    for name in sorted(pc.unique(rows.column("category")).to_pylist()):
        own = pc.equal(rows.column("category"), name).to_numpy()
        thresholds[name] = category_threshold(name, maxima[own], scores[own], settings_for(name, settings))
    return thresholds


def box_rows(
    rows: pa.Table,
    thresholds: Mapping[str, CategoryThreshold],
    settings: Settings,
    masks: bool = False,
) -> pa.Table:
    """Pseudo-boxes of maps, in the schema of the boxes table.

    Args:
        rows: rows of the maps table.
        thresholds: thresholds of every category in `rows`.
        settings: the method's other settings, for all categories or by category.
        masks: whether to add `masks`, run-length text of each box's region (`MASKED`).
    """
    schema = MASKED if masks else BOXES
    if rows.num_rows == 0:
        return schema.empty_table()
    cv2.setNumThreads(1)  # the workers are the parallel part
    done: list[dict[str, Any]] = []
    for row, anomaly_map in zip(rows.drop_columns(["map"]).to_pylist(), map_grids(rows), strict=True):
        width, height = row["width"], row["height"]
        found = pseudo_regions(
            anomaly_map,
            row["score"],
            width=width,
            height=height,
            threshold=thresholds[row["category"]],
            settings=settings_for(row["category"], settings),
        )
        done.append(
            {**{name: row[name] for name in BOXES.names[:-1]}, "boxes": [asdict(box) for box, _ in found]}
        )
        if masks:
            done[-1]["masks"] = [runs_of(region, width, height) for _, region in found]
    return pa.Table.from_pylist(done, schema=schema)
