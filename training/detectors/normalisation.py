"""Colours as a backbone's library expects them."""

from torch import Tensor

from training.backbones.base import Backbone


def normalised(images: Tensor, backbone: Backbone) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] with the backbone's mean taken off, in units of its standard deviation."""
    mean = images.new_tensor(backbone.mean)[:, None, None]
    std = images.new_tensor(backbone.std)[:, None, None]
    return (images - mean) / std
