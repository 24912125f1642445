"""Changed images: boxes follow what they hold, and nothing but what is named changes."""

import cv2
import numpy as np
import pytest

from training.certificate.variants import VARIANTS, Variant, moved_boxes

BY_NAME = {variant.name: variant for variant in VARIANTS}
NONE = np.zeros((0, 4))


def blob(centre: tuple[int, int], axes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A white ellipse on black, and its box."""
    image = np.zeros((200, 300, 3), np.uint8)
    cv2.ellipse(image, centre, axes, 0, 0, 360, (255, 255, 255), -1)
    return image, box_of(image)


def box_of(image: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(image[..., 0] > 127)
    return np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], float)


@pytest.mark.parametrize("name", ["turned_left", "turned_right", "tipped"])
@pytest.mark.parametrize(
    ("centre", "axes"), [((60, 50), (40, 8)), ((230, 150), (10, 30)), ((150, 100), (20, 20))]
)
def test_a_tilted_box_is_the_box_of_what_it_held(
    name: str, centre: tuple[int, int], axes: tuple[int, int]
) -> None:
    image, box = blob(centre, axes)
    changed = BY_NAME[name](image, box, NONE, 1.0)
    np.testing.assert_allclose(changed.boxes, box_of(changed.image), atol=1.5)
    assert changed.visible.all()
    assert changed.image.shape == image.shape


def test_what_is_mostly_out_of_sight_does_not_count() -> None:
    aside = np.array([[1, 0, -20], [0, 1, 0], [0, 0, 1]], float)
    boxes = np.array([[0, 0, 30, 10], [25, 0, 60, 10]], float)
    moved, visible = moved_boxes(boxes, aside, 100, 50)
    assert visible.tolist() == [False, True]
    assert moved[0, 0] == 0


@pytest.mark.parametrize("variant", [one for one in VARIANTS if one.turn is None], ids=lambda one: one.name)
def test_other_changes_move_no_box(variant: Variant) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    boxes = np.array([[1, 2, 30, 20]], float)
    changed = variant(image, boxes, boxes, 1.0)
    assert (changed.boxes == boxes).all()
    assert changed.image.shape == image.shape
    assert changed.image.dtype == np.uint8
    assert (changed.image != image).any()


def test_exposure_is_a_factor_that_clips_and_colours_survive_compression() -> None:
    image = np.full((16, 16, 3), (200, 100, 20), np.uint8)
    assert BY_NAME["brighter"](image, NONE, NONE, 1.0).image[0, 0].tolist() == [255, 140, 28]
    assert BY_NAME["darker"](image, NONE, NONE, 1.0).image[0, 0].tolist() == [140, 70, 14]
    decoded = BY_NAME["jpeg_50"](image, NONE, NONE, 1.0).image[0, 0].astype(int)
    assert np.abs(decoded - image[0, 0]).max() < 8


def test_blur_is_in_pixels_of_the_detectors_input() -> None:
    image = np.zeros((61, 61, 3), np.uint8)
    image[30, 30] = 255
    # Of an image four times as large as the input it is four times as wide.
    widths = [(BY_NAME["blur_1"](image, NONE, NONE, scale).image[30, :, 0] > 0).sum() for scale in (0.5, 2.0)]
    assert widths[1] > 2 * widths[0]
