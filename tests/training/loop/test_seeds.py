"""Each part of a training has a seed of its own, and the numbers that old trainings took."""

import random

import numpy as np
import pytest
import torch

from training.loop.section import LoopSettings
from training.loop.seeds import epoch_seed, seed_everything, step_seed

LARGEST_SEED, MOST_EPOCHS, MOST_WORKERS = 2**31 - 1, 100_000, 4096  # of the config


def test_the_numbers_are_those_of_before() -> None:
    """Another number would change every training's losses."""
    assert epoch_seed(7, 3) == 7_000_024
    assert step_seed(0, 0, 0) == 0
    assert step_seed(7, 12, 3) == 28_693_135_270


def test_no_two_parts_share_a_seed() -> None:
    epochs = [epoch_seed(seed, epoch) for seed in (0, 1, 2) for epoch in (0, 1, MOST_EPOCHS)]
    assert len(set(epochs)) == len(epochs)
    ranks = (0, 1, MOST_WORKERS - 1)
    steps = [step_seed(s, step, rank) for s in (0, 1) for step in (0, 1, 999_999) for rank in ranks]
    assert len(set(steps)) == len(steps)


def test_the_largest_is_one_that_the_generators_take() -> None:
    largest = step_seed(LARGEST_SEED, 10**6, MOST_WORKERS - 1)
    assert largest < 2**63
    seed_everything(largest)
    drawn = (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002 (the global one)
    seed_everything(largest)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1).item())  # noqa: NPY002


@pytest.mark.parametrize(("own", "resolved"), [(None, 5), (0, 0), (3, 3)])
def test_a_loop_without_a_seed_takes_the_projects(own: int | None, resolved: int) -> None:
    assert LoopSettings(seed=own).seeded(5).resolved_seed == resolved


def test_outside_of_a_project_the_seed_is_zero() -> None:
    assert LoopSettings().resolved_seed == 0
    assert LoopSettings().model_dump()["seed"] is None
