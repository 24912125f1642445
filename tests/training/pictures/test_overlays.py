"""What is laid over a picture shows there, however small the picture is."""

import numpy as np
import pytest

from training.pictures import heat_over, mask_over


@pytest.mark.parametrize("place", range(200, 212))
@pytest.mark.parametrize("size", [(20, 100), (80, 100)])
def test_a_defect_one_pixel_wide_shows_in_a_small_picture(place: int, size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    truth = np.zeros((40, 400), np.bool_)
    truth[:, place] = True
    tinted = (mask_over(picture, truth) != mask_over(picture, np.zeros_like(truth))).any(axis=2)
    assert tinted[:, place // 4].all()
    assert not tinted[:, np.abs(np.arange(100) - place // 4) > 2].any()
    heat = heat_over(picture, truth.astype(np.float32), 0.0, 1.0)
    cold = heat_over(picture, np.zeros_like(truth, np.float32), 0.0, 1.0)
    assert (heat != cold).any(axis=2)[:, place // 4].all()
