"""Masks of pseudo-boxes: pycocotools reads what the maps' regions are, by another way than theirs."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from pycocotools import mask as reference
from pycocotools.coco import COCO
from scipy import ndimage

from pipelines.boxes.export import coco_document
from pipelines.boxes.outlines import polygons_of
from pipelines.boxes.pseudo_boxes import CategoryThreshold
from pipelines.boxes.rows import MASKED, box_rows
from pipelines.boxes.section import BoxesSection
from pipelines.maps.grids import grid_column
from pipelines.maps.reading import upsample

Mask = npt.NDArray[np.bool_]
THRESHOLD = {"rail": CategoryThreshold("rail", 1, 1.0, 0.6, 0.0)}


def rows(maps: list[npt.NDArray[np.float16]], width: int, height: int) -> pa.Table:
    count = len(maps)
    return pa.table(
        {
            "image_id": [f"{n:032x}" for n in range(count)],
            "uri": [f"/{n}.png" for n in range(count)],
            "category": ["rail"] * count,
            "width": pa.array([width] * count, pa.int32()),
            "height": pa.array([height] * count, pa.int32()),
            "score": [1.0] * count,
            "map_max": [float(one.max()) for one in maps],
            "map": grid_column(maps),
        }
    )


def read(document: dict[str, Any]) -> COCO:
    """The document as pycocotools has it."""
    coco = COCO()
    coco.dataset = document
    coco.createIndex()
    return coco


@pytest.mark.parametrize("kind", ["runs", "polygons"])
@pytest.mark.parametrize("shape", [(7, 7), (4, 15)])
def test_a_box_has_the_pixels_of_its_region(kind: Any, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    maps = [rng.random(shape).astype(np.float16) for _ in range(3)] + [np.zeros(shape, np.float16)]
    width, height = 20 * shape[1] + 3, 20 * shape[0] - 5
    section = BoxesSection(masks=kind)
    table = box_rows(rows(maps, width, height), THRESHOLD, section.settings, True)
    assert table.schema.equals(MASKED)
    document = coco_document(table.to_pylist(), masks=kind)
    coco = read(document)
    assert len(document["annotations"]) == sum(map(len, table.column("boxes").to_pylist())) > 5
    for annotation in document["annotations"]:
        number = annotation["image_id"] - 1
        above = upsample(maps[number].astype(np.float32), width, height) >= np.float32(0.6)
        found = coco.annToMask(annotation).astype(bool)
        labels, _ = ndimage.label(above, np.ones((3, 3)))
        (label,) = set(np.unique(labels[found & above])) - {0}
        region = labels == label
        assert annotation["area"] == region.sum()
        x, y, w, h = annotation["bbox"]
        down, across = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
        assert (x, y, x + w, y + h) == (across[0], down[0], across[-1] + 1, down[-1] + 1)
        wanted = region if kind == "runs" else ndimage.binary_fill_holes(region)
        np.testing.assert_array_equal(found, wanted)


@settings(max_examples=200, deadline=None)
@given(rows=st.integers(1, 12), columns=st.integers(1, 12), share=st.floats(0.2, 1), seed=st.integers(0, 999))
def test_polygons_go_along_the_edges_of_the_pixels(rows: int, columns: int, share: float, seed: int) -> None:
    inside: Mask = np.random.default_rng(seed).random((rows, columns)) < share
    polygons = polygons_of(inside, 3, 5)
    filled = np.zeros((rows + 9, columns + 9), bool)
    for label in range(1, (parts := ndimage.label(inside, np.ones((3, 3))))[1] + 1):
        filled[5 : 5 + rows, 3 : 3 + columns] |= ndimage.binary_fill_holes(parts[0] == label)
    drawn = np.zeros_like(filled)
    for polygon in polygons:
        assert all(side == int(side) for side in polygon)
        if len(polygon) >= 6:
            runs = reference.frPyObjects([polygon], *filled.shape)
            drawn |= reference.decode(runs)[..., 0].astype(bool)
    np.testing.assert_array_equal(drawn, filled)


def test_without_masks_nothing_is_new() -> None:
    assert BoxesSection().deciding() == BoxesSection(masks="none").deciding()
    assert "masks" not in BoxesSection().deciding()
    assert BoxesSection(masks="runs").deciding() != BoxesSection().deciding()
    document = coco_document(
        [
            {
                "uri": "/a.png",
                "width": 9,
                "height": 9,
                "boxes": [{"x0": 1, "y0": 1, "x1": 3, "y1": 4, "score": 1}],
            }
        ]
    )
    assert "segmentation" not in document["annotations"][0]
