"""Where tiles lie: every pixel is seen, the aspect is kept, and a map never outgrows its limit."""

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput, tile_plan
from pipelines.maps.tile_section import TileSettings

BASE = EncoderInput(240, 15)
SHIPPED = EncoderInput(140, 14)


def tilings() -> st.SearchStrategy[TileSettings]:
    return st.builds(
        TileSettings,
        tiles=st.one_of(st.sampled_from(["off", "auto"]), st.integers(16, 3000)),
        tile_overlap=st.floats(0, 0.75),
        least_defect=st.floats(1, 200),
        grid_limit=st.integers(4096, 20_000),
    )


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(8, 13_000),
    height=st.integers(8, 5_000),
    tiling=tilings(),
    encoder=st.sampled_from([BASE, SHIPPED, EncoderInput(378, 27), EncoderInput(100, 7)]),
)
def test_tiles_cover_every_pixel_of_what_is_cut_and_the_grid_has_a_bound(
    width: int, height: int, tiling: TileSettings, encoder: EncoderInput
) -> None:
    plan = tile_plan(width, height, tiling, encoder)
    assert plan.rows * plan.columns <= tiling.grid_limit
    covered = np.zeros((plan.rows, plan.columns), np.bool_)
    across, down = plan.seen
    columns, rows = np.zeros(across, np.bool_), np.zeros(down, np.bool_)
    for left, top in plan.corners:
        covered[top : top + encoder.patches, left : left + encoder.patches] = True
        x, y = (round(place * encoder.size / encoder.patches) for place in (left, top))
        assert x + encoder.size <= across
        assert y + encoder.size <= down
        columns[x : x + encoder.size] = rows[y : y + encoder.size] = True
    assert covered.all()
    assert columns.all()
    assert rows.all()
    if tiling.tiles == "off":
        assert (plan.seen, plan.corners) == ((encoder.size, encoder.size), ((0, 0),))


@settings(max_examples=200, deadline=None)
@given(width=st.integers(60, 3_000), height=st.integers(60, 3_000), side=st.integers(60, 1_000))
def test_the_aspect_is_kept_to_half_a_patch_where_the_limit_does_not_bind(
    width: int, height: int, side: int
) -> None:
    assume(width * height * BASE.patches**2 <= 1_000_000 * min(side, width, height) ** 2)
    plan = tile_plan(width, height, TileSettings(tiles=side, grid_limit=1_048_576), BASE)
    patch = min(side, width, height) / BASE.patches
    assert abs(plan.columns - width / patch) <= 0.5
    assert abs(plan.rows - height / patch) <= 0.5


@pytest.mark.parametrize(
    ("width", "height", "grid"),
    [
        (240, 240, (15, 15)),  # nearly square and small: whole, as without tiles
        (300, 280, (15, 15)),
        (500, 1260, (79, 31)),  # 16 pixels a patch, not 33 × 84
        (5000, 200, (15, 375)),  # as high as a tile: 13 pixels a patch
        (1600, 256, (15, 94)),
        (3840, 2160, (135, 240)),
        (12_000, 30, (15, 3000)),  # enlarged fourfold at most
    ],
)
def test_auto_takes_tiles_by_sides_and_the_least_defect(
    width: int, height: int, grid: tuple[int, int]
) -> None:
    plan = tile_plan(width, height, TileSettings(tiles="auto"), BASE)
    assert (plan.rows, plan.columns) == grid
    assert (len(plan.corners) == 1) == (grid == (15, 15))


def test_a_line_scan_is_seen_coarser_where_its_grid_would_be_too_fine() -> None:
    plan = tile_plan(12_000, 4_000, TileSettings(tiles="auto"), BASE)
    assert 64_000 < plan.rows * plan.columns <= 65_536
    assert plan.columns / plan.rows == pytest.approx(3, rel=0.01)
    finer = tile_plan(12_000, 4_000, TileSettings(tiles="auto", grid_limit=1_000_000), BASE)
    assert (finer.rows, finer.columns) == (250, 750)


def test_settings_of_tiles_decide_the_maps_only_where_there_are_tiles() -> None:
    before = {"encoder", "method", "kead"}
    changed = {"tile_overlap": 0.5, "top_tiles": 3, "least_defect": 9, "grid_limit": 5000, "bank_limit": 300}
    assert MapsSection.model_validate(changed).deciding == MapsSection().deciding
    assert set(MapsSection().deciding) == before
    auto = MapsSection.model_validate({"tiles": "auto", **changed}).deciding
    assert {name: auto[name] for name in set(auto) - before} == {"tiles": "auto", **changed}
    assert "least_defect" not in MapsSection(tiles=256).deciding


@pytest.mark.parametrize("tiles", ["auto", 256])
def test_parts_are_not_stored_of_tiles(tiles: str) -> None:
    with pytest.raises(ValueError, match="store_parts needs tiles=off"):
        MapsSection.model_validate({"tiles": tiles, "store_parts": True})
