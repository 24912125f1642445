"""Grey levels and colours of a data set against plain float64 sums."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from pipelines.images.levels import LevelsSection, dataset_colours, dataset_levels
from pipelines.images.reading import read_image


def plates(folder: Path, count: int = 3) -> tuple[list[str], list[np.ndarray]]:
    """12-bit plates in 16-bit files: each brighter than the one before, one with a hot pixel."""
    rng = np.random.default_rng(5)
    uris, values = [], []
    for number in range(count):
        plate = (400 + 900 * number + rng.integers(0, 300, (40, 50))).astype(np.uint16)
        if number == 0:
            plate[3, 4] = 65_000
        path = folder / f"{number}.png"
        Image.fromarray(plate).save(path)
        uris.append(str(path))
        values.append(plate)
    return uris, values


def test_percentiles_are_those_of_all_pixels(tmp_path: Path) -> None:
    uris, values = plates(tmp_path)
    every = np.concatenate([plate.ravel() for plate in values]).astype(np.float64)
    levels = dataset_levels(uris, LevelsSection(low=1, high=99))
    assert levels == pytest.approx(np.percentile(every, [1, 99]).tolist(), abs=1e-9)


def test_one_scale_keeps_the_order_of_plates_and_a_hot_pixel_darkens_none(tmp_path: Path) -> None:
    uris, values = plates(tmp_path)
    levels = dataset_levels(uris, LevelsSection())
    assert levels is not None
    black, white = levels
    for uri, plate in zip(uris, values, strict=True):
        wanted = np.clip((plate.astype(np.float64) - black) * 255 / (white - black), 0, 255).round()
        np.testing.assert_array_equal(read_image(uri, levels)[..., 0], wanted.astype(np.uint8))
    means = [read_image(uri, levels).mean() for uri in uris]
    assert means[0] + 50 < means[1] < means[2] - 50
    # Without levels the plate with the hot pixel is black, as every other reader would have it.
    assert read_image(uris[0]).mean() < 3


def test_full_range_and_own_extremes(tmp_path: Path) -> None:
    uris, values = plates(tmp_path)
    full = dataset_levels(uris, LevelsSection(scaling="full"))
    assert full == (0.0, 65_535.0)
    wanted = (values[1].astype(np.float64) * 255 / 65_535).round().astype(np.uint8)
    np.testing.assert_array_equal(read_image(uris[1], full)[..., 1], wanted)
    assert dataset_levels(uris, LevelsSection(scaling="image")) is None


def test_colours_are_those_of_all_training_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    uris, pixels = [], []
    for number, shape in enumerate([(20, 30, 3), (17, 40, 3)]):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        uris.append(str(tmp_path / f"{number}.png"))
        pixels.append(image.reshape(-1, 3))
    every = np.concatenate(pixels).astype(np.float64) / 255
    found = dataset_colours(uris, LevelsSection())
    assert found.levels is None
    assert found.mean == pytest.approx(every.mean(axis=0).tolist(), abs=1e-12)
    assert found.std == pytest.approx(every.std(axis=0).tolist(), abs=1e-9)
    highest = np.maximum(every.max(axis=1), 1 / 255)
    assert found.saturation == pytest.approx(
        float(((highest - every.min(axis=1)) / highest).mean()), abs=1e-9
    )


def test_grey_images_have_no_saturation(tmp_path: Path) -> None:
    uris, _ = plates(tmp_path)
    assert dataset_colours(uris, LevelsSection()).saturation == 0


def test_percentiles_must_rise() -> None:
    with pytest.raises(ValidationError, match="must be below"):
        LevelsSection(low=60, high=40)
