"""Pretraining with maps of tiled images: each is laid over its image's square."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings, strategies as st

from tests.pipelines.tiled_tables import SHAPES, hot_place, write_tiled
from training.agbp.data import PretrainDataset, read_pretrain_images
from training.agbp.views import lay_over

SIZE = 64


def test_maps_of_grids_of_their_own_lie_over_their_images(tmp_path: Path) -> None:
    storage, maps = write_tiled(tmp_path)
    images = read_pretrain_images(storage, storage)
    assert len(images) == 9
    data = PretrainDataset(images, range(9), SIZE, None, seed=0)
    for place in range(9):
        item = data[place]
        number = int(images.image_ids[place], 16)
        np.testing.assert_array_equal(images.maps[place], maps[number])
        assert tuple(item["images"].shape) == (1, 3, SIZE, SIZE)
        laid = item["maps"][0].numpy()
        assert laid.shape == (SIZE, SIZE)
        if number % 3:
            _, _, rows, columns = SHAPES[number % len(SHAPES)]
            row, column = hot_place(number)
            y, x = np.unravel_index(int(laid.argmax()), laid.shape)
            assert abs((y + 0.5) / SIZE - (row + 0.5) / rows) <= 0.5 / rows + 1 / SIZE
            assert abs((x + 0.5) / SIZE - (column + 0.5) / columns) <= 0.5 / columns + 1 / SIZE


def averaged(values: npt.NDArray[np.float32], pixels: int) -> npt.NDArray[np.float64]:
    """Means of the first axis over equal shares of it."""
    scale = len(values) / pixels
    weights = np.zeros((pixels, len(values)))
    for pixel in range(pixels):
        for cell in range(len(values)):
            weights[pixel, cell] = max(0.0, min((pixel + 1) * scale, cell + 1) - max(pixel * scale, cell))
    return np.asarray(weights @ values / scale)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(16, 60), columns=st.integers(16, 60), seed=st.integers(0, 99))
def test_a_grid_finer_than_the_square_is_averaged_by_area(rows: int, columns: int, seed: int) -> None:
    grid = np.random.default_rng(seed).random((rows, columns), dtype=np.float32)
    want = averaged(averaged(grid, 16).T.astype(np.float32), 16).T
    np.testing.assert_allclose(lay_over(grid, 16), want, atol=1e-5)


def test_no_cell_of_a_strip_is_passed_over() -> None:
    for column in range(375):
        grid = np.zeros((15, 375), np.float32)
        grid[7, column] = 1
        assert lay_over(grid, 64).sum() == pytest.approx(64 * 64 / (15 * 375), rel=0.1)
