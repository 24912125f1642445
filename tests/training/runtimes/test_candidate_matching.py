"""Candidates are the same in any order, and differ by as much as they were moved."""

import numpy as np
import pytest

from training.runtimes.candidate_matching import paired_differences


def test_order_does_not_matter_and_differences_are_found_either_way() -> None:
    rng = np.random.default_rng(0)
    boxes = rng.uniform(0, 64, (40, 3, 4)).astype(np.float32)
    scores = rng.uniform(0.1, 1, (40, 3)).astype(np.float32)
    order = rng.permutation(40)
    same = (boxes[order], scores[order])
    assert paired_differences((boxes, same[0]), (scores, same[1]), side=64, min_score=0.01) == (0, 0)

    moved = boxes.copy()
    moved[7, 1, 2] += 0.25
    for pair in ((boxes, moved), (moved, boxes)):
        found = paired_differences(pair, (scores, scores), side=64, min_score=0.01)
        assert found[0] == pytest.approx(0.25, abs=1e-5)
        assert found[1] == 0


def test_what_nobody_would_detect_is_not_compared() -> None:
    boxes = np.zeros((2, 1, 4), dtype=np.float32)
    other = boxes + np.array([0, 9], dtype=np.float32)[:, None, None]
    scores = np.array([[0.9], [0.0001]], dtype=np.float32)
    assert paired_differences((boxes, other), (scores, scores), side=64, min_score=0.001) == (0, 0)


def test_an_invented_candidate_shows() -> None:
    boxes = np.array([[[1, 1, 9, 9]], [[1, 1, 9, 9]]], dtype=np.float32)
    other = np.array([[[1, 1, 9, 9]], [[40, 40, 60, 60]]], dtype=np.float32)
    scores = np.full((2, 1), 0.5, dtype=np.float32)
    found = paired_differences((boxes, other), (scores, scores), side=64, min_score=0.001)
    assert found[0] == pytest.approx(51)
