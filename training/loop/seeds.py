"""The seeds of one training's parts, all different, and the generators that libraries draw from."""

import random

import numpy as np
import torch

# Primes above the counts that they keep apart, so no two parts share a number. With the largest seed of the
# config, 2³¹ − 1, the product still fits the 64 bits that torch takes.
STEP_STRIDE = 1_000_003  # epochs are 100,000 at most; step 1,000,003 of a seed draws as step 0 of the next
RANK_STRIDE = 4099  # workers are 4096 at most
NUMPY_SEEDS = 1 << 32  # numpy's global generator takes 32 bits


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of the order of images in one epoch, the same on every worker."""
    return seed * STEP_STRIDE + epoch


def step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of what one worker draws in one step of the optimizer, e.g. dropout's noise."""
    return (seed * STEP_STRIDE + step) * RANK_STRIDE + rank


def seed_everything(seed: int) -> None:
    """Seed the global generators of torch (all devices), numpy and Python, which libraries draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % NUMPY_SEEDS)  # noqa: NPY002 (the global one is meant)
    random.seed(seed)
