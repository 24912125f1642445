"""How far a data set lies from what pretrained features know: their statistics on it and on a reference.

The reference is a set of dead-leaves images (Lee, Mumford and Huang, 2001): overlapping discs of all sizes
and colours, whose statistics of edges and colours are near those of natural photographs. Nothing is
downloaded, and every data set and backbone has the same reference. The figure compares data sets and
modalities for one backbone; it does not measure the distance to that backbone's pretraining images.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from training.models import Image
from training.models.backbones import Backbone

LEAVES = 400
SMALLEST, LARGEST = 3, 60  # radii, pixels of an image of 128
MIN_DEVIATION = 1e-3  # share of the largest channel's; a dead channel measures nothing
BATCH = 16

Features = npt.NDArray[np.float64]


def dead_leaves(count: int, side: int, seed: int = 0) -> list[Image]:
    """`count` images of (side, side, 3) uint8; radii follow a power law of exponent 3."""
    images = []
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        image = np.full((side, side, 3), rng.integers(0, 256), np.uint8)
        low, high = SMALLEST * side / 128, LARGEST * side / 128
        share = rng.random(LEAVES)
        radii = 1 / np.sqrt(1 / low**2 - share * (1 / low**2 - 1 / high**2))
        centres = rng.uniform(0, side, (LEAVES, 2))
        greys = rng.uniform(0, 255, LEAVES)
        tints = rng.normal(0, 30, (LEAVES, 3))  # natural colours are greys with a tint
        for radius, centre, grey, tint in zip(radii, centres, greys, tints, strict=True):
            colour = np.clip(grey + tint, 0, 255).astype(int).tolist()
            cv2.circle(image, (int(centre[0]), int(centre[1])), round(radius), colour, -1)
        images.append(image)
    return images


def pooled_features(backbone: Backbone, images: Sequence[Image], device: torch.device) -> Features:
    """(images, channels): every stage's map averaged over the image; all images have one size."""
    backbone.to(device).eval()
    mean = torch.tensor(backbone.mean, device=device)[:, None, None]
    std = torch.tensor(backbone.std, device=device)[:, None, None]
    features = []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            batch = np.stack([image.transpose(2, 0, 1) for image in images[start : start + BATCH]])
            x = torch.from_numpy(batch).to(device).float() / 255
            maps = backbone((x - mean) / std)
            features.append(torch.cat([nn.functional.adaptive_avg_pool2d(y, 1)[..., 0, 0] for y in maps], 1))
    return torch.cat(features).double().cpu().numpy()


def feature_shift(features: Features, reference: Features) -> float:
    """Distance of two sets of features, each channel a Gaussian, in deviations of the reference.

    Each channel's 2-Wasserstein distance is divided by the reference's deviation; the result is their root
    mean square: 0 where mean and deviation agree, 1 where the mean lies one deviation off.

    Args:
        features, reference: (images, channels), two images or more each.
    """
    deviation = reference.std(axis=0)
    deviation = np.maximum(deviation, MIN_DEVIATION * max(float(deviation.max()), np.finfo(float).tiny))
    means = (features.mean(axis=0) - reference.mean(axis=0)) / deviation
    spreads = (features.std(axis=0) - reference.std(axis=0)) / deviation
    return float(np.sqrt(np.mean(means**2 + spreads**2)))
