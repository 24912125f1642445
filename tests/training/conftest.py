"""Fixtures of the trainings' tests."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.detection.data import Sample


@pytest.fixture
def squares(tmp_path: Path) -> list[Sample]:
    """Eight dark images with a bright square each, and one without."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(9):
        image = rng.integers(20, 60, (64, 64, 3), dtype=np.uint8)
        x, y = (int(v) for v in rng.integers(2, 36, 2))
        boxes = np.array([[x, y, x + 24, y + 24]], dtype=np.float64)[: int(number < 8)]
        if number < 8:
            image[y : y + 24, x : x + 24] = (0, 0, 230)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
        labels = np.zeros(len(boxes), dtype=np.int64)
        samples.append(Sample(str(number), str(tmp_path / f"{number}.png"), 64, 64, boxes, labels))
    return samples
