"""Rows of the job of tiled maps: pixels or a reason, one map a row; without tiles nothing is new."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from pipelines.image_maps import anomaly_maps
from pipelines.images.reading import read_image
from pipelines.maps.build import build_method
from pipelines.maps.coverage import coverage
from pipelines.maps.grids import map_grids
from pipelines.maps.rows import category_states, decode_rows, map_batch, readable_rows
from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput, tile_plan
from pipelines.maps.tile_section import TileSettings
from pipelines.maps.tiled_rows import (
    BATCH_BYTES,
    TILED_SCHEMA,
    decode_tiled_rows,
    decoding,
    map_rows_of,
    map_tiled_rows,
    rows_at_once,
)

ENCODER = EncoderInput(140, 14)
SIDES = ((300, 90), (160, 400), (140, 140))  # width, height


@pytest.fixture
def rows(tmp_path: Path) -> pa.Table:
    """Pictures of three shapes and a file that is none."""
    rng = np.random.default_rng(0)
    for number, (width, height) in enumerate(SIDES):
        cv2.imwrite(str(tmp_path / f"{number}.png"), rng.integers(0, 255, (height, width, 3), np.uint8))
    (tmp_path / "3.png").write_bytes(b"no picture")
    sides = [*SIDES, (9, 9)]
    return pa.table(
        {
            "image_id": [f"{n}" for n in range(4)],
            "uri": [str(tmp_path / f"{n}.png") for n in range(4)],
            "category": ["rail"] * 4,
            "width": pa.array([width for width, _ in sides], pa.int32()),
            "height": pa.array([height for _, height in sides], pa.int32()),
        }
    )


@pytest.mark.parametrize("tiles", ["auto", 100])
def test_rows_become_maps_of_grids_of_their_own(rows: pa.Table, tiles: str | int) -> None:
    section = MapsSection.model_validate({"tiles": tiles, "kead": {"shots": 1}})
    method = build_method(section, "cpu")
    uris = rows.column("uri").to_pylist()
    states = category_states(method, section, {"rail": uris[:1]})
    decoded = decode_tiled_rows(rows, section, ENCODER)
    assert [error is None for error in decoded.column("error").to_pylist()] == [True, True, True, False]
    done = map_tiled_rows(method, states, readable_rows(decoded), section, 8)
    assert done.schema.equals(TILED_SCHEMA)
    assert done.select(["image_id", "uri", "width"]).equals(
        rows.slice(0, 3).select(["image_id", "uri", "width"])
    )
    grids = map_grids(done)
    for (width, height), grid, highest in zip(SIDES, grids, done.column("map_max").to_pylist(), strict=True):
        plan = tile_plan(width, height, section, ENCODER)
        assert grid.shape == (plan.rows, plan.columns)
        assert grid.max() == highest
    # By hand, without the table, in any batch.
    alone = anomaly_maps(uris[:3], "rail", references=uris[:1], maps=section)
    for one, grid, score in zip(alone, grids, done.column("score").to_pylist(), strict=True):
        np.testing.assert_allclose(one.map, grid, atol=2e-3)
        assert one.score == pytest.approx(score, abs=1e-4)
        assert one.upsampled().shape == (one.height, one.width)
    none = map_tiled_rows(method, states, readable_rows(decoded.slice(3)), section, 8)
    assert (none.num_rows, none.schema) == (0, TILED_SCHEMA)
    assert map_grids(none) == []


def test_without_tiles_the_job_is_what_it_was(rows: pa.Table) -> None:
    section = MapsSection.model_validate({"kead": {"shots": 1}})
    decode, arguments, at_once = decoding(section, SIDES, 7, ENCODER)
    assert (decode, arguments, at_once) == (decode_rows, {"size": 140}, 7)
    method = build_method(section, "cpu")
    states = category_states(method, section, {"rail": rows.column("uri").to_pylist()[:1]})
    readable = readable_rows(decode_rows(rows, 140))
    found = map_rows_of(method, states, readable, section, 3)
    assert found.equals(map_batch(method, states, readable))
    assert isinstance(found.schema.field("map").type, pa.FixedShapeTensorType)


def test_16_bit_images_are_tiled_by_their_levels(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(900, 1100, (90, 300), np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    row = pa.table({"uri": [str(tmp_path / "deep.png")], "levels": [[0.0, 4000.0]]})
    tiling = TileSettings(tiles=60)
    (pixels,) = decode_tiled_rows(row, tiling, ENCODER).column("pixels").to_pylist()
    plan = tile_plan(300, 90, tiling, ENCODER)
    want = plan.resized(read_image(str(tmp_path / "deep.png"), (0.0, 4000.0)))
    assert pixels == want.tobytes()
    assert 40 < want.mean() < 90


def test_rows_of_a_batch_have_a_bound_of_bytes() -> None:
    for sides in ([(300, 300)], [(1600, 256)], [(12_000, 4_000), (64, 64)], []):
        rows = rows_at_once(sides, TileSettings(tiles="auto"), EncoderInput(240, 15), 32)
        largest = max(
            (
                np.prod(tile_plan(*side, TileSettings(tiles="auto"), EncoderInput(240, 15)).seen)
                for side in sides
            ),
            default=1,
        )
        assert 1 <= rows <= 32
        assert rows == 1 or 3 * rows * largest <= BATCH_BYTES
    assert rows_at_once([(12_000, 4_000)], TileSettings(tiles="auto"), EncoderInput(240, 15), 32) == 2


@pytest.mark.parametrize(
    ("width", "height", "told"),
    [
        (240, 200, None),
        (700, 690, "1 of 2 images are squashed by more than 2:1 or have patches of more than 48 pixels"),
        (400, 150, "(/tall.png: 29×11 pixels a patch)"),
    ],
)
def test_images_that_are_seen_too_coarsely_are_named(width: int, height: int, told: str | None) -> None:
    rows = pa.Table.from_pylist(
        [
            {"uri": "/good.png", "width": 150, "height": 150},
            {"uri": "/tall.png", "width": width, "height": height},
        ]
    )
    said = coverage(MapsSection(), rows, ENCODER)
    if told is None:
        assert said is None
    else:
        assert said is not None
        assert told in said
        assert said.endswith("maps.tiles=auto cuts them into tiles")
    tiled = coverage(MapsSection(tiles="auto"), rows, ENCODER)
    assert tiled is not None
    assert tiled.endswith(" tiles of 2 images")


def test_tiles_that_are_too_large_are_said_too() -> None:
    rows = pa.Table.from_pylist([{"uri": "/scan.png", "width": 12_000, "height": 6_000}] * 3)
    said = coverage(MapsSection(tiles="auto", grid_limit=4096), rows, ENCODER)
    assert said is not None
    assert "3 of 3 images" in said
    assert said.endswith("take smaller maps.tiles or a higher maps.grid_limit")
