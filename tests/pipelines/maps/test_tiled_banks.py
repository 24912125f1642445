"""Tiles with banks from pixels to maps and scores against plain float64: references, mutual, levels, text."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from cluster.storage.storage import Storage
from pipelines.banks.section import BankSection
from pipelines.maps import tiling
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.build import input_of
from pipelines.maps.grids import map_grids
from pipelines.maps.mutual_sample import judged_states
from pipelines.maps.rows import readable_rows
from pipelines.maps.section import KeadSettings, MapsSection
from pipelines.maps.tile_plan import EncoderInput, tile_plan
from pipelines.maps.tile_section import TileSettings
from pipelines.maps.tiled_rows import decode_tiled_rows, map_tiled_rows
from pipelines.maps.tiled_sample import tiled_feature_rows
from pipelines.maps.tiling import encoder_input, tile_memory, tiled_image, tiled_maps, tiled_state
from tests.pipelines.banks.tiny_bank import SIDE, Array, bilinear, nearest, weights_of
from tests.pipelines.maps.test_bank_reference import case, levels_of, text_maps
from tests.pipelines.maps.test_kead_reference import TILE, Known

__all__ = ["case"]  # the fixture

Pixels = npt.NDArray[np.uint8]
OWN = {"vv": True, "residual": True, "released_layers": False}
BANKS: dict[str, dict[str, Any]] = {
    "one level": {"encoder": "timm/test_resnet", "levels": (1,)},
    "two levels": {"encoder": "timm/test_convnext", "levels": (0, 2)},
    "flips": {"encoder": "timm/test_resnet", "levels": (1, 2), "views": "flips"},
    "clip": {"encoder": "clip", "views": "flips"},
}


def surface(seed: int, height: int, width: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def method_of(case: Known, folder: Path, **bank: Any) -> BankMethod:
    if bank["encoder"] != "clip":
        name = bank["encoder"].removeprefix("timm/")
        bank = {**bank, "weights": weights_of(name, folder), "size": SIDE}
    return BankMethod(case.encoder, KeadSettings(shots=2), BankSection.model_validate(bank))


def plain_tiles(image: Pixels, tiling: TileSettings, side: int, grid: int) -> tuple[Any, list[Any]]:
    """Rows and columns, and of each tile its pixels and its left and top in cells, by loops of its own."""
    height, width = image.shape[:2]
    wanted = 16 * grid if tiling.tiles == "auto" else int(tiling.tiles)
    whole = tiling.tiles == "auto" and max(height, width) <= 1.25 * min(wanted, height, width)
    if tiling.tiles == "auto" and wanted < min(height, width) <= 1.25 * wanted:
        wanted = min(height, width)
    patch = min(wanted, height, width) / grid
    rows, columns = max(grid, round(height / patch)), max(grid, round(width / patch))
    if whole:
        rows = columns = grid
    pixel = [int(np.floor(cells * side / grid + 0.5)) for cells in range(max(rows, columns) + 1)]
    resized = Image.fromarray(image).resize((pixel[columns], pixel[rows]), Image.Resampling.BICUBIC)
    step = max(1, int(grid * 0.75))
    found = []
    for top in sorted({min(n * step, rows - grid) for n in range(rows)}):
        for left in sorted({min(n * step, columns - grid) for n in range(columns)}):
            box = pixel[left], pixel[top], pixel[left] + side, pixel[top] + side
            found.append((np.asarray(resized.crop(box)).transpose(2, 0, 1).copy(), left, top))
    return (rows, columns), found


def features(case: Known, method: BankMethod, tiles: Pixels) -> list[list[Array]]:
    """By level, by tile: (h, w, D), in float64."""
    images = torch.from_numpy(np.ascontiguousarray(tiles))
    if method.backbone is not None:
        assert method.backbone.levels is not None
        return levels_of(method.bank.encoder.removeprefix("timm/"), images, method.backbone.levels)
    by_tile = [case.vit.patches(inputs, vv, OWN) for _, inputs, vv in case.passes(images)]
    side = method.grid
    return [
        [np.asarray(one).reshape(side, side, -1) for one in level] for level in zip(*by_tile, strict=True)
    ]


def rows_of(level: list[Array]) -> Array:
    return np.concatenate([one.reshape(-1, one.shape[-1]) for one in level])


def check(
    case: Known,
    method: BankMethod,
    image: Pixels,
    cut: TileSettings,
    far: Any,
    found: tuple[npt.NDArray[np.float32], float],
    bound: float,
) -> None:
    """Compare a joined map and its score; `far(level number, patches)` are a tile's distances."""
    (rows, columns), tiles = plain_tiles(image, cut, method.side, method.grid)
    stack = np.stack([tile for tile, _, _ in tiles])
    levels, t = features(case, method, stack), method.text_weight
    texts, zeros = text_maps(case, torch.from_numpy(stack))
    total, weight, scores = np.zeros((rows, columns)), np.zeros((rows, columns)), []
    grid = method.grid
    for number, (_, left, top) in enumerate(tiles):
        distances = [far(place, level[number]) for place, level in enumerate(levels)]
        bank = np.mean([bilinear(one, grid) for one in distances], axis=0)
        m = 2 * (t * bilinear(zeros[number], grid) + (1 - t) * bank)
        scores.append(2 * t * texts[number] + m.max())
        for y in range(grid):
            for x in range(grid):
                share = min(y + 0.5, grid - y - 0.5) * min(x + 0.5, grid - x - 0.5)
                total[top + y, left + x] += share * m[y, x]
                weight[top + y, left + x] += share
    np.testing.assert_allclose(found[0], total / weight, atol=bound, rtol=0)
    assert found[1] == pytest.approx(max(scores), abs=1e-4)
    assert np.ptp(found[0]) > 1e-3


@pytest.mark.parametrize("tiles", ["auto", 50])
@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("bank", BANKS)
def test_tiles_are_compared_with_a_bank_of_the_references_tiles(
    bank: str, weight: float, tiles: Any, case: Known, tmp_path: Path
) -> None:
    method = method_of(case, tmp_path, **BANKS[bank], text_weight=weight)
    cut = TileSettings(tiles=tiles, bank_limit=65_536)
    references, image = [surface(1, 60, 90), surface(2, 70, 60)], surface(3, 55, 130)
    state = tiled_state(method, TILE, references, cut, 3)
    normal = []
    for reference in references:
        for tile, _, _ in plain_tiles(reference, cut, method.side, method.grid)[1]:
            flips = [tile, tile[:, ::-1], tile[:, :, ::-1], tile[:, ::-1, ::-1]]
            normal += flips if method.bank.views == "flips" else [tile]
    banks = [rows_of(level) for level in features(case, method, np.stack(normal))]
    assert [len(level) for level in state.banks] == [len(level) for level in banks]
    (made,) = tiled_maps(method, [tiled_image(method, image, state, cut)], 4, 1)
    far = lambda place, patches: nearest(patches, banks[place])  # noqa: E731
    check(case, method, image, cut, far, (made.map, made.score), 1e-4)


@pytest.mark.parametrize("tiles", ["auto", 50])
@pytest.mark.parametrize(("bank", "weight"), [("one level", 0.0), ("two levels", 0.25), ("clip", 0.5)])
def test_mutual_scores_are_over_the_tiles_of_the_images_that_judge(
    bank: str, weight: float, tiles: Any, case: Known, tmp_path: Path
) -> None:
    options = {**BANKS[bank], "views": "image", "mode": "mutual", "lowest": 0.5}
    method = method_of(case, tmp_path, **options, text_weight=weight)
    section = MapsSection.model_validate({"tiles": tiles, "bank": method.bank.model_dump()})
    images = [surface(4, 60, 90), surface(5, 50, 50), surface(6, 100, 55), surface(7, 60, 60)]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image[:, :, ::-1])
    sides = [image.shape[1::-1] for image in images]
    manifest = pa.table(
        {
            "image_id": [str(n) for n in range(4)],
            "uri": [str(tmp_path / f"{n}.png") for n in range(4)],
            "category": ["tile"] * 4,
            "width": pa.array([width for width, _ in sides], pa.int32()),
            "height": pa.array([height for _, height in sides], pa.int32()),
        }
    )
    rows = readable_rows(decode_tiled_rows(manifest, section, encoder_input(method)))
    counts = [
        len(tile_plan(width, height, section, encoder_input(method)).corners) for width, height in sides[:3]
    ]
    sample = Storage.open(str(tmp_path / "sample"))
    sample.create()
    for number in range(3):  # the first three judge
        one = tiled_feature_rows(method, rows.slice(number, 1), section, counts, 2)
        sample.write_table(f"part-{number}.parquet", one)
    sample.write_table("part-3.parquet", tiled_feature_rows(method, rows.slice(0, 0), section, counts, 2))
    state = method.text_state(TILE)
    states = judged_states({"tile": state}, sample, {"3": {"2"}, "2": {"3"}})
    made = map_tiled_rows(method, states, rows, section, 5)
    judged = [
        [
            rows_of(level)
            for level in features(
                case,
                method,
                np.stack([t for t, _, _ in plain_tiles(image, section, method.side, method.grid)[1]]),
            )
        ]
        for image in images[:3]
    ]
    found = list(zip(map_grids(made), made.column("score").to_pylist(), strict=True))
    for number, image in enumerate(images):
        judges = [n for n in range(3) if n != number and {n, number} != {2, 3}]

        def far(place: int, patches: Array, judges: list[int] = judges) -> Array:
            each = np.sort([nearest(patches, judged[n][place]) for n in judges], axis=0)
            return np.asarray(each[: max(1, round(0.5 * len(judges)))].mean(0))

        check(case, method, image, section, far, found[number], 1e-3)  # the table's maps are float16
        alone = tiled_image(method, image, states["tile"].judging(str(number)), section)
        (exact,) = tiled_maps(method, [alone], 5, 1)
        check(case, method, image, section, far, (exact.map, exact.score), 1e-4)


def test_a_bank_of_many_tiles_keeps_some_of_every_chosen_one(
    case: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "CANDIDATES", 600)
    bank = {"encoder": "timm/test_resnet", "levels": (1,)}
    method = method_of(case, tmp_path, **bank, most=50)
    assert method.grid**2 == 256
    cut = TileSettings(tiles=40)
    state = tiled_state(method, TILE, [surface(n, 40, 300) for n in (1, 2)], cut, 4)
    assert [len(level) for level in state.banks] == [50]
    loose = method_of(case, tmp_path, **bank)
    state = tiled_state(loose, TILE, [surface(n, 40, 300) for n in (1, 2)], cut, 4)
    assert [len(level) for level in state.banks] == [2 * 256]  # a tile of each, as 300 hold no two
    again = tiled_state(loose, TILE, [surface(n, 40, 300) for n in (1, 2)], cut, 1)
    torch.testing.assert_close(again.banks, state.banks)
    plan = tile_plan(300, 40, cut, encoder_input(loose))
    few = tile_memory(plan.resized(surface(1, 40, 300)), plan, loose.remembered, 3, 600, 100)
    assert [len(level) for level in few] == [6 * 100]


def test_what_the_config_tells_of_the_input_is_the_methods(tmp_path: Path) -> None:
    given_weights = {"weights": weights_of("test_resnet", tmp_path), "size": SIDE}
    banks: list[dict[str, Any]] = [
        {"encoder": "clip", "views": "flips"},
        {"encoder": "timm/test_resnet", "levels": (1,), **given_weights},
    ]
    for bank in banks:
        for weight in (0.0, 0.5):
            section = MapsSection.model_validate({"tiles": 64, "bank": {**bank, "text_weight": weight}})
            assert input_of(section) == encoder_input(method_over_shipped(section))


def method_over_shipped(section: MapsSection) -> BankMethod:
    from pipelines.maps.build import build_method

    method = build_method(section, "cpu")
    assert isinstance(method, BankMethod)
    return method


def test_a_judges_coreset_decides_the_maps_of_tiles_alone() -> None:
    def deciding(**options: Any) -> Any:
        bank = {"mode": "mutual", "coreset": options.pop("coreset", "greedy")}
        return MapsSection.model_validate({"bank": bank, **options}).deciding

    assert deciding(coreset="random") == deciding()
    assert deciding(coreset="random", tiles=64) != deciding(tiles=64)
    assert deciding(bank_limit=300, tiles=64) != deciding(tiles=64)


@settings(max_examples=300, deadline=None)
@given(
    width=st.integers(8, 400),
    height=st.integers(8, 400),
    side=st.integers(16, 200),
    size=st.integers(16, 120),
    patches=st.integers(2, 16),
)
def test_every_tile_lies_within_the_resized_image(
    width: int, height: int, side: int, size: int, patches: int
) -> None:
    plan = tile_plan(width, height, TileSettings(tiles=side), EncoderInput(size, min(size, patches)))
    across, down = plan.seen
    seen = np.zeros((down, across, 3), np.uint8)
    assert {plan.tile(seen, corner).shape for corner in plan.corners} == {(3, size, size)}
