"""Grey level, contrast and sharpness of an image follow its exposure and its focus alone."""

import cv2
import numpy as np
import pytest

from pipelines.drift.measures import looks


def picture(seed: int = 0) -> np.ndarray:
    grey = np.random.default_rng(seed).integers(40, 160, (64, 80), np.uint8)
    return np.repeat(cv2.GaussianBlur(grey, (0, 0), 1)[..., None], 3, axis=2)


def test_the_numbers_are_those_of_a_plain_reference() -> None:
    image = picture()
    grey = image[..., 0].astype(float)
    padded = np.pad(grey, 1, mode="reflect")
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
    told = looks(image)
    assert told["brightness"] == pytest.approx(grey.mean())
    assert told["contrast"] == pytest.approx(grey.std())
    assert told["sharpness"] == pytest.approx(laplacian.std() / grey.std())


def test_exposure_leaves_sharpness_and_blur_leaves_brightness() -> None:
    image = picture()
    sharp = looks(image)
    dark = looks((image * 0.5).astype(np.uint8))
    blurred = looks(cv2.GaussianBlur(image, (0, 0), 2))
    assert dark["brightness"] < 0.55 * sharp["brightness"]
    assert dark["sharpness"] == pytest.approx(sharp["sharpness"], rel=0.05)
    assert blurred["sharpness"] < 0.5 * sharp["sharpness"]
    assert blurred["brightness"] == pytest.approx(sharp["brightness"], rel=0.01)


def test_a_plain_image_has_no_sharpness() -> None:
    assert looks(np.full((8, 8, 3), 7, np.uint8)) == {"brightness": 7, "contrast": 0, "sharpness": 0}
