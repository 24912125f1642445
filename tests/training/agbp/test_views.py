"""The map lies over its pixels through every augmentation."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from training.agbp.data import PretrainDataset, PretrainImages, collate
from training.agbp.section import ViewAugment
from training.agbp.views import Map, geometric, lay_over, photometric, resize_square
from training.models.letterbox import Image
from training.pictures.pixels import PixelCache

SIZE = 96


def spot(row: float, column: float) -> tuple[Image, Map]:
    """An image with a soft bright spot, and the map of that very spot."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    glow = np.exp(-((y - row * SIZE) ** 2 + (x - column * SIZE) ** 2) / (2 * 5.0**2))
    image = np.repeat((glow * 255).round().astype(np.uint8)[..., None], 3, axis=2)
    return image, glow.astype(np.float32)


@pytest.mark.parametrize("seed", range(40))
def test_map_and_image_move_as_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, anomaly_map = spot(*rng.uniform(0.1, 0.9, 2))
    section = ViewAugment(min_crop=0.3, aspect=1.5)
    moved, laid = geometric(image, anomaly_map, rng, section)
    assert moved.shape == image.shape
    assert laid.shape == anomaly_map.shape
    # The same picture in two forms: they differ by the rounding to uint8 alone.
    assert np.abs(moved[..., 0] / 255.0 - laid).max() < 0.006


def test_every_kind_of_move_happens() -> None:
    image, anomaly_map = spot(0.25, 0.25)
    section = ViewAugment(min_crop=1, aspect=1)
    found = set()
    for seed in range(40):
        _, laid = geometric(image, anomaly_map, np.random.default_rng(seed), section)
        row, column = np.unravel_index(laid.argmax(), laid.shape)
        found.add((int(row) > SIZE / 2, int(column) > SIZE / 2))
    assert found == {(False, False), (False, True), (True, False), (True, True)}
    crops = [
        geometric(image, anomaly_map, np.random.default_rng(seed), ViewAugment(flip=0))[1]
        for seed in range(10)
    ]
    assert any(not np.array_equal(crop, anomaly_map) for crop in crops)


@pytest.mark.parametrize("grid", [7, 15, 27])
def test_a_patch_covers_its_pixels(grid: int) -> None:
    anomaly_map = np.zeros((grid, grid), dtype=np.float32)
    anomaly_map[2, 4] = 1
    laid = lay_over(anomaly_map, 224)
    row, column = np.unravel_index(laid.argmax(), laid.shape)
    assert abs((row + 0.5) / 224 - 2.5 / grid) < 1 / 112
    assert abs((column + 0.5) / 224 - 4.5 / grid) < 1 / 112
    assert laid.min() >= 0
    assert laid.max() <= 1


def test_photometric_changes_pixels_alone_and_repeats() -> None:
    image, _ = spot(0.5, 0.5)
    section = ViewAugment()
    first = photometric(image, np.random.default_rng(1), section)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert not np.array_equal(first, image)
    assert np.array_equal(first, photometric(image, np.random.default_rng(1), section))
    still = ViewAugment(brightness=0, contrast=0)
    assert np.array_equal(photometric(image, np.random.default_rng(1), still), image)


def test_resize_is_uniform() -> None:
    image = np.zeros((60, 200, 3), dtype=np.uint8)
    image[:, 100:] = 255
    small = resize_square(image, 32)
    assert small.shape == (32, 32, 3)
    assert np.array_equal(small, cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA))
    assert small[:, :15].max() == 0
    assert small[:, 17:].min() == 255


@given(
    image_seed=st.integers(0, 10_000),
    seed=st.integers(0, 10_000),
    epoch=st.integers(0, 1000),
    grid=st.sampled_from([3, 7, 14]),
    min_crop=st.floats(0.05, 1),
    aspect=st.floats(1, 4),
    flip=st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_every_view_has_its_map_over_its_pixels(
    image_seed: int, seed: int, epoch: int, grid: int, min_crop: float, aspect: float, flip: float
) -> None:
    maps = np.random.default_rng(image_seed).random((2, grid, grid)).astype(np.float16)
    images = PretrainImages(("a", "b"), ("a", "b"), np.zeros(2, np.int64), ("tile",), maps)
    section = ViewAugment(min_crop=min_crop, aspect=aspect, flip=flip, brightness=0, contrast=0)
    dataset = PretrainDataset(images, range(2), SIZE, section, seed, views=2)
    # Each image is a picture of its own map, so that a view shows what its map should be.
    pictures = [
        (lay_over(grid_map.astype(np.float32), SIZE) * 255).round().astype(np.uint8) for grid_map in maps
    ]
    coloured = [np.repeat(picture[..., None], 3, axis=2) for picture in pictures]
    dataset.pixels = PixelCache(coloured.__getitem__, whole_bytes=0, limit_bytes=0)
    dataset.set_epoch(epoch)
    item = dataset[1]
    assert item["images"].shape == (2, 3, SIZE, SIZE)
    assert item["maps"].shape == (2, SIZE, SIZE)
    # They differ by rounding to uint8 twice (½ level each) and by OpenCV's 11-bit weights for uint8 (¼ of one
    # in each direction) alone; a shift by one pixel would be 4 levels and more.
    assert (item["images"][:, 0] / 255 - item["maps"]).abs().max().item() < 1.5 / 255
    assert torch.equal(item["images"], dataset[1]["images"])


def test_views_differ_and_the_first_is_that_of_one_view() -> None:
    maps = np.random.default_rng(0).random((1, 7, 7)).astype(np.float16)
    images = PretrainImages(("a",), ("a",), np.zeros(1, np.int64), ("tile",), maps)
    one, two = (PretrainDataset(images, range(1), SIZE, ViewAugment(), 3, views=n) for n in (1, 2))
    picture = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    one.pixels = two.pixels = PixelCache([picture].__getitem__, whole_bytes=0, limit_bytes=0)
    assert torch.equal(one[0]["images"][0], two[0]["images"][0])
    assert not torch.equal(two[0]["images"][0], two[0]["images"][1])
    batch = collate([two[0], two[0], two[0]])
    assert torch.equal(batch["images"][0], two[0]["images"][0])
    assert torch.equal(batch["images"][3], two[0]["images"][1])
    assert torch.equal(batch["maps"][5], two[0]["maps"][1])
