"""A scratch across a long strip, in the square that a network sees."""

import numpy as np
import pytest

from training.agbp.views import resize_square
from training.models import Preprocessing


@pytest.mark.parametrize("place", range(1000, 1016))
def test_a_scratch_across_a_strip_is_seen_in_a_square(place: int) -> None:
    strip = np.zeros((64, 2048, 3), np.uint8)
    strip[:, place] = 255
    for square in (
        resize_square(strip, 224),
        Preprocessing(224, "square").place(2048, 64).image(strip),
        resize_square(strip.transpose(1, 0, 2), 224).transpose(1, 0, 2),
    ):
        assert square.shape == (224, 224, 3)
        # All of its light is there, spread over a column or two.
        assert square[100, :, 0].sum() == pytest.approx(255 * 224 / 2048, abs=2)
