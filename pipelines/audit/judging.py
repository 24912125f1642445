"""Boxes of painted images against what was painted, rule by rule. No Ray here."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.boxes import CategoryThreshold, MapCuts, PseudoBoxSettings, cut_boxes, matched
from pipelines.maps import Floats
from pipelines.tables import AUDIT_IMAGES, BOX, box_array

IOU = 0.5  # as in mAP@0.5
SIZES = ("small", "medium", "large")
PATCHES = (1.0, 9.0)  # of the map's grid: below the first a box is small, from the second on large
COUNTS = ("right", "wrong", "left_out", "plain")
JUDGED = pa.schema(
    [
        ("image_id", pa.string()),
        *((name, pa.list_(pa.int64())) for name in COUNTS),
        ("overlap", pa.list_(pa.float64())),
    ]
)
Thresholds = Mapping[str, Sequence[CategoryThreshold]]  # category -> one a candidate
Boxes = npt.NDArray[np.float64]


def judged_schema(shape: Sequence[int]) -> pa.Schema:
    """Schema of the rows that are judged: a painted image, its map, and the map of the image as it was.

    A labelled image has the boxes of its labels, no `kind`, and its own map twice.

    Args:
        shape: patches along a map's sides.
    """
    tensor = pa.fixed_shape_tensor(pa.float16(), list(shape))
    maps = [("score", pa.float64()), ("map", tensor), ("plain_score", pa.float64()), ("plain_map", tensor)]
    return pa.schema([*AUDIT_IMAGES, ("ignored", pa.list_(BOX)), *maps])


def judge_rows(rows: pa.Table, candidates: Sequence[PseudoBoxSettings], thresholds: Thresholds) -> pa.Table:
    """Count, for each candidate, right and wrong boxes of each painted image, in the schema `JUDGED`.

    Args:
        rows: a batch, schema `judged_schema`.
        candidates: rules with their settings.
        thresholds: thresholds of every category, one a candidate.
    """
    if not rows.num_rows:
        return JUDGED.empty_table()
    cv2.setNumThreads(1)  # the workers are the parallel part
    done = []
    painted, plain = (_stack(rows, name) for name in ("map", "plain_map"))
    listed = rows.drop_columns(["map", "plain_map"]).to_pylist()
    for row, one, other in zip(listed, painted, plain, strict=True):
        done.append(judged_image(row, one, other, candidates, thresholds[row["category"]]))
    return pa.Table.from_pylist(done, schema=JUDGED)


def judged_image(
    row: Mapping[str, Any],
    painted_map: Floats,
    plain_map: Floats,
    candidates: Sequence[PseudoBoxSettings],
    thresholds: Sequence[CategoryThreshold],
) -> dict[str, Any]:
    """One row of `JUDGED`: counts by candidate and size, candidate by candidate.

    A box is right that meets a painted defect, each met once, by an IoU of 0.5 or more. Any other is wrong,
    unless the image isn't known to be normal and half of it or more lies in a box that the same rule draws
    without the painting: there may be a defect of the image's own, so it is left out. A labelled image is
    judged as one that is normal but for its labels; boxes in regions that they ignore are left out. `plain`
    counts the boxes without the painting.

    Args:
        row: a row of `judged_schema` without its maps.
        painted_map, plain_map: M with and without the painting, (g, g).
        candidates: rules with their settings.
        thresholds: the category's thresholds, one a candidate.
    """
    truth, ignored = box_array(row["boxes"]), box_array(row["ignored"])
    patch = row["width"] * row["height"] / painted_map.size
    counts = {name: np.zeros((len(candidates), len(SIZES)), np.int64) for name in COUNTS}
    overlap = np.zeros((len(candidates), len(SIZES)))
    size = row["width"], row["height"]
    after, before = MapCuts(painted_map, *size), MapCuts(plain_map, *size)
    for place, (settings, threshold) in enumerate(zip(candidates, thresholds, strict=True)):
        drawn = _drawn(after, row["score"], threshold, settings)
        as_it_was = drawn
        if row["kind"] is not None:
            as_it_was = _drawn(before, row["plain_score"], threshold, settings)
        np.add.at(counts["plain"][place], size_classes(as_it_was, patch), 1)
        regions = ignored if row["normal"] else np.concatenate([ignored, as_it_was])
        matches = matched(drawn, truth, regions, [IOU])
        right, left_out, met = matches.right[0], matches.ignored[0], matches.met[0]
        sizes_met = size_classes(truth, patch)[met[right]]
        np.add.at(counts["right"][place], sizes_met, 1)
        np.add.at(overlap[place], sizes_met, matches.overlap[np.flatnonzero(right), met[right]])
        sizes = size_classes(drawn, patch)
        np.add.at(counts["wrong"][place], sizes[~right & ~left_out], 1)
        np.add.at(counts["left_out"][place], sizes[left_out], 1)
    flat = {name: array.ravel().tolist() for name, array in counts.items()}
    return {"image_id": row["image_id"], **flat, "overlap": overlap.ravel().tolist()}


def size_classes(boxes: Boxes, patch: float) -> npt.NDArray[np.int64]:
    """Place in `SIZES` of each box.

    Args:
        boxes: (N, 4) x0 y0 x1 y1.
        patch: pixels of the image that one patch of its map covers.
    """
    patches = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / patch
    return np.searchsorted(np.asarray(PATCHES), patches, side="right").astype(np.int64)


def _stack(table: pa.Table, name: str) -> Floats:
    stack = table.column(name).combine_chunks().to_numpy_ndarray()
    return np.asarray(stack, np.float32)


def _drawn(cuts: MapCuts, score: float, threshold: CategoryThreshold, settings: PseudoBoxSettings) -> Boxes:
    """(N, 4) boxes of a rule, best first."""
    boxes = [] if score < threshold.delta else cut_boxes(cuts, threshold.threshold, settings)
    return np.array([(box.x0, box.y0, box.x1, box.y1) for box in boxes], np.float64).reshape(-1, 4)
