"""Tiled maps against plain float64 loops; what a single tile gives is what the whole image gave."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image

from cluster.errors import UserError
from pipelines.encoder.prompts import CategoryPrompts
from pipelines.maps.bank_limit import spread, spread_banks
from pipelines.maps.build import method_over
from pipelines.maps.method import CategoryState, MapMethod
from pipelines.maps.rows import category_states
from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput, TilePlan, tile_plan
from pipelines.maps.tile_section import TileSettings
from pipelines.maps.tiling import Mosaic, tiled_image, tiled_maps, tiled_state
from tests.pipelines.tiny_encoder import tiny_encoder

PROMPTS = MapsSection().library().category("steel_strip")
ENCODER = EncoderInput(9, 3)


def method_and_section(name: str = "kead", **more: object) -> tuple[MapMethod, MapsSection]:
    section = MapsSection.model_validate(
        {"method": name, "kead": {"shots": 2}, "winclip": {"shots": 2}, "tiles": 40, **more}
    )
    return method_over(tiny_encoder(), section), section


def surface(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def plain_state(method: MapMethod, references: list[npt.NDArray[np.uint8]], side: int) -> CategoryState:
    """All tiles of all references, each through the encoder by itself."""
    banks: list[list[torch.Tensor]] = []
    for image in references:
        for tile, _, _ in plain_tiles(method, image, side):
            patches = method.embed(torch.from_numpy(tile[None])).patches
            banks.append([layer[0] for layer in patches])
    t_n, t_a = method.text_embeddings(PROMPTS)
    return CategoryState(t_n, t_a, tuple(torch.cat(layer) for layer in zip(*banks, strict=True)))


def plain_tiles(
    method: MapMethod, image: npt.NDArray[np.uint8], side: int
) -> list[tuple[npt.NDArray[np.uint8], int, int]]:
    """Tiles a quarter over each other, of an image whose sides are a multiple of a patch and above a tile."""
    size, patches = method.encoder.image_size, method.grid
    cells_down, cells_across = (round(length * patches / side) for length in image.shape[:2])
    pixels = size // patches
    resized = Image.fromarray(image).resize(
        (cells_across * pixels, cells_down * pixels), Image.Resampling.BICUBIC
    )
    step = max(1, int(patches * 0.75))
    tiles = []
    for top in sorted({min(n * step, cells_down - patches) for n in range(cells_down)}):
        for left in sorted({min(n * step, cells_across - patches) for n in range(cells_across)}):
            box = left * pixels, top * pixels, left * pixels + size, top * pixels + size
            tiles.append((np.asarray(resized.crop(box)).transpose(2, 0, 1).copy(), left, top))
    return tiles


@pytest.mark.parametrize("name", ["kead", "winclip"])
@pytest.mark.parametrize("top_tiles", [1, 3])
def test_map_and_score_are_those_of_plain_loops(name: str, top_tiles: int) -> None:
    method, section = method_and_section(name, top_tiles=top_tiles)
    references = [surface(1, 60, 90), surface(2, 50, 120)]
    image = surface(3, 80, 150)
    state = category_states(method, section, {"steel_strip": list(references)})["steel_strip"]
    (found,) = tiled_maps(method, [tiled_image(method, image, state, section)], 4, top_tiles)

    plain, patches = plain_state(method, references, 40), method.grid
    rows, columns = (round(length * patches / 40) for length in image.shape[:2])
    total, weight = np.zeros((rows, columns)), np.zeros((rows, columns))
    scores = []
    for tile, left, top in plain_tiles(method, image, 40):
        out = method(torch.from_numpy(tile[None]), [plain])
        scores.append(float(out.score[0]))
        for y in range(patches):
            for x in range(patches):
                share = min(y + 0.5, patches - y - 0.5) * min(x + 0.5, patches - x - 0.5)
                total[top + y, left + x] += share * float(out.maps[0, y, x])
                weight[top + y, left + x] += share
    np.testing.assert_allclose(found.map, total / weight, atol=1e-4)
    assert found.score == pytest.approx(np.mean(sorted(scores)[-top_tiles:]), abs=1e-4)


def test_batches_mix_images_and_categories_and_change_nothing() -> None:
    method, section = method_and_section()
    states = [
        tiled_state(method, PROMPTS, [surface(n, 60, 90), surface(n + 1, 60, 60)], section, 8) for n in (5, 7)
    ]
    images = [tiled_image(method, surface(n, 40 + 30 * n, 100), states[n % 2], section) for n in range(3)]
    together = tiled_maps(method, images, 5, 1)
    for image, found in zip(images, together, strict=True):
        (alone,) = tiled_maps(method, [image], 1, 1)
        np.testing.assert_allclose(found.map, alone.map, atol=1e-5)
        assert found.score == pytest.approx(alone.score, abs=1e-5)


@pytest.mark.parametrize("name", ["kead", "winclip"])
def test_a_nearly_square_image_under_auto_has_the_map_of_the_whole(name: str) -> None:
    """To float32's rounding: references go through the encoder alone here, in one batch there."""
    method, section = method_and_section(name, tiles="auto", least_defect=30)
    whole = section.model_copy(update={"tiles": "off"})
    images = [surface(n, 64, 70) for n in range(3)]
    given_states = [
        category_states(method, each, {"rail": list(images[:2])})["rail"] for each in (section, whole)
    ]
    (found,) = tiled_maps(method, [tiled_image(method, images[2], given_states[0], section)], 1, 1)
    want = method(torch.from_numpy(method.preprocess(images[2])[None]), [given_states[1]])
    np.testing.assert_allclose(found.map, want.maps[0].numpy(), atol=5e-7)
    assert found.score == pytest.approx(float(want.score[0]), abs=5e-7)


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(8, 400),
    height=st.integers(8, 400),
    side=st.integers(16, 200),
    overlap=st.floats(0, 0.75),
    value=st.floats(0, 2, width=16),
)
def test_a_constant_map_stays_constant(
    width: int, height: int, side: int, overlap: float, value: float
) -> None:
    plan = tile_plan(width, height, TileSettings(tiles=side, tile_overlap=overlap), ENCODER)
    mosaic = Mosaic(plan, 1)
    for corner in plan.corners:
        mosaic.add(corner, np.full((3, 3), value, np.float32), value)
    done = mosaic.finished()
    assert done.map.shape == (plan.rows, plan.columns)
    np.testing.assert_allclose(done.map, value, rtol=1e-6)
    assert done.score == value


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(3, 12), columns=st.integers(3, 12), seed=st.integers(0, 999))
def test_a_joined_cell_lies_between_its_tiles_and_no_seam_jumps(rows: int, columns: int, seed: int) -> None:
    plan = TilePlan(
        rows, columns, tuple((x, y) for y in range(rows - 2) for x in range(columns - 2)), ENCODER
    )
    rng = np.random.default_rng(seed)
    low, high = np.full((rows, columns), np.inf), np.full((rows, columns), -np.inf)
    mosaic = Mosaic(plan, 2)
    scores = []
    for left, top in plan.corners:
        tile = rng.random((3, 3), dtype=np.float32)
        scores.append(float(tile.max()))
        mosaic.add((left, top), tile, scores[-1])
        place = slice(top, top + 3), slice(left, left + 3)
        low[place], high[place] = np.minimum(low[place], tile), np.maximum(high[place], tile)
    done = mosaic.finished()
    assert (done.map >= low - 1e-6).all()
    assert (done.map <= high + 1e-6).all()
    assert done.score == pytest.approx(np.mean(sorted(scores)[-2:]))


def test_too_few_references_and_zero_shots() -> None:
    method, section = method_and_section()
    with pytest.raises(UserError, match=r'steel strip" has 1 normal references, 2 are needed'):
        tiled_state(method, PROMPTS, [surface(0, 60, 90)], section, 8)
    none, section = method_and_section(kead={"shots": 0})
    assert tiled_state(none, PROMPTS, [], section, 8).banks == ()


def test_a_bank_keeps_the_embeddings_that_differ_most() -> None:
    rng = np.random.default_rng(0)
    crowd = rng.normal(0, 0.01, (500, 8)).astype(np.float32)
    outliers = (np.eye(8, dtype=np.float32) * 3)[rng.permutation(8)]
    bank = torch.from_numpy(np.concatenate([crowd[:250], outliers, crowd[250:]]))
    kept = spread(bank, 12)
    assert set(range(250, 258)) <= set(kept.tolist())
    assert sorted(set(kept.tolist())) == kept.tolist()
    assert len(kept) == 12

    plain = [0]  # the same, step by step
    while len(plain) < 12:
        distances = [min(float((bank[n] - bank[m]).square().sum()) for m in plain) for n in range(len(bank))]
        plain.append(int(np.argmax(distances)))
    assert sorted(plain) == kept.tolist()

    wide = [torch.randn(40, 50), torch.randn(40, 60), torch.randn(9, 50)]
    few = spread_banks(wide, 16)
    assert [bank.shape for bank in few] == [(16, 50), (16, 60), (9, 50)]
    rows = [int((wide[0] == row).all(1).nonzero()) for row in few[0]]
    assert torch.equal(few[1], wide[1][rows])  # layers keep the same patches
    assert torch.equal(few[2], wide[2])


def test_banks_of_large_references_are_bounded() -> None:
    method, section = method_and_section(bank_limit=256)
    references = [surface(n, 700, 900) for n in range(2)]
    state = tiled_state(method, PROMPTS, references, section, 64)
    assert {bank.shape[0] for bank in state.banks} == {256}


def test_prompts_that_are_too_long_are_refused() -> None:
    method, section = method_and_section(kead={"shots": 0})
    long = CategoryPrompts.model_validate(
        {"object": "x " * 200, "defects": [{"type": "scratch", "features": "thin"}]}
    )
    with pytest.raises(UserError):
        tiled_state(method, long, [], section, 8)
