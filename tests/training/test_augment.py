"""The map lies over its pixels through every augmentation."""

import cv2
import numpy as np
import pytest

from training.augment import AugmentSection, Image, Map, geometric, lay_over, photometric, resize_square

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
    section = AugmentSection(min_crop=0.3, aspect=1.5)
    moved, laid = geometric(image, anomaly_map, rng, section)
    assert moved.shape == image.shape
    assert laid.shape == anomaly_map.shape
    # The same picture in two forms: they differ by the rounding to uint8 alone.
    assert np.abs(moved[..., 0] / 255.0 - laid).max() < 0.006


def test_every_kind_of_move_happens() -> None:
    image, anomaly_map = spot(0.25, 0.25)
    section = AugmentSection(min_crop=1, aspect=1)
    found = set()
    for seed in range(40):
        _, laid = geometric(image, anomaly_map, np.random.default_rng(seed), section)
        row, column = np.unravel_index(laid.argmax(), laid.shape)
        found.add((int(row) > SIZE / 2, int(column) > SIZE / 2))
    assert found == {(False, False), (False, True), (True, False), (True, True)}
    crops = [
        geometric(image, anomaly_map, np.random.default_rng(seed), AugmentSection(flip=0))[1]
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
    section = AugmentSection()
    first = photometric(image, np.random.default_rng(1), section)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert not np.array_equal(first, image)
    assert np.array_equal(first, photometric(image, np.random.default_rng(1), section))
    still = AugmentSection(brightness=0, contrast=0)
    assert np.array_equal(photometric(image, np.random.default_rng(1), still), image)


def test_resize_is_uniform() -> None:
    image = np.zeros((60, 200, 3), dtype=np.uint8)
    image[:, 100:] = 255
    small = resize_square(image, 32)
    assert small.shape == (32, 32, 3)
    assert np.array_equal(small, cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA))
    assert small[:, :15].max() == 0
    assert small[:, 17:].min() == 255
