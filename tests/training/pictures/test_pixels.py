"""Pixels are read once while all fit, else each time; a file that is gone is named with its remedy."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from cluster.errors import UserError
from training.models.letterbox import Image
from training.pictures.pixels import PixelCache, read_pixels

IMAGES, BYTES = 5, 8 * 8 * 3


class Reader:
    """Gives an image whose value is its index, and counts."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, index: int) -> Image:
        self.read.append(index)
        return np.full((8, 8, 3), index, np.uint8)


def cache(reader: Reader, limit_bytes: int) -> PixelCache:
    return PixelCache(reader, whole_bytes=IMAGES * BYTES, limit_bytes=limit_bytes)


def test_what_just_fits_is_read_once_and_never_evicted() -> None:
    reader = Reader()
    pixels = cache(reader, IMAGES * BYTES)
    first = [pixels[index] for index in range(IMAGES)]
    again = [pixels[index] for index in reversed(range(IMAGES))]
    assert reader.read == list(range(IMAGES))
    assert all(one is other for one, other in zip(first, reversed(again), strict=True))
    assert [int(image[0, 0, 0]) for image in first] == list(range(IMAGES))


def test_what_is_a_byte_too_large_is_read_every_time_and_not_kept_in_part() -> None:
    reader = Reader()
    pixels = cache(reader, IMAGES * BYTES - 1)
    for index in (0, 1, 0, 0):
        assert int(pixels[index].max()) == index
    assert reader.read == [0, 1, 0, 0]


def test_an_image_that_failed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "late.png"
    pixels = PixelCache(lambda index: read_pixels(str(path)), whole_bytes=0, limit_bytes=0)
    with pytest.raises(UserError):
        pixels[0]
    cv2.imwrite(str(path), np.full((8, 9, 3), 7, np.uint8))
    assert pixels[0].shape == (8, 9, 3)
    path.unlink()
    assert pixels[0].max() == 7


def test_loaders_get_it_pickled(tmp_path: Path) -> None:
    pixels = cache(Reader(), IMAGES * BYTES)
    pixels[3]
    assert int(pickle.loads(pickle.dumps(pixels))[3].max()) == 3


def test_a_file_that_is_gone_or_damaged_is_named_with_its_remedy(tmp_path: Path) -> None:
    gone, damaged = tmp_path / "gone.png", tmp_path / "damaged.png"
    damaged.write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        read_pixels(str(gone))
    assert str(caught.value) == (
        f"Image {gone} can't be read any more (file is missing); restore it, or make the corpus anew."
    )
    with pytest.raises(UserError, match=r"damaged\.png can't be read any more \(not an image in a supported"):
        read_pixels(str(damaged))
