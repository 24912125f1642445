"""Where a finetuned detector's backbone looks: its attention, laid over the image."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from training.agbp import attention_map
from training.models import Image, backbone_adapters, backbone_of
from training.models.backbones import Backbone, accepts, build, fill
from training.models.detectors import Detector

STRIDE = 16  # of the map that is shown: fine enough for defects, deep enough to tell them from texture


def backbone_in(detector: Detector) -> Backbone | None:
    """The detector's backbone with its weights, in eval mode; None for one that is no backbone here."""
    name = backbone_of(detector.architecture)
    if name not in backbone_adapters and not accepts(name):
        return None
    backbone, prefix = build(name), detector.backbone_prefix
    state = {
        key.removeprefix(prefix): tensor
        for key, tensor in detector.state_dict().items()
        if key.startswith(prefix)
    }
    fill(backbone, state, f"the detector {detector.architecture}")
    return backbone.eval()


def attention(
    detector: Detector, backbone: Backbone, images: Sequence[Image]
) -> list[npt.NDArray[np.float32]]:
    """Eq. 6 on the map of stride 16 (the nearest there is), (H, W) of each image.

    Args:
        detector: tells how an image becomes an input.
        backbone: see `backbone_in`.
        images: (H, W, 3) uint8 RGB.
    """
    strides = [stage.stride for stage in backbone.stages]
    place = min(range(len(strides)), key=lambda number: abs(strides[number] - STRIDE))
    mean, std = (torch.tensor(values)[:, None, None] for values in (backbone.mean, backbone.std))
    maps = []
    for image in images:
        height, width = image.shape[:2]
        placement = detector.preprocessing.place(width, height)
        pixels = torch.from_numpy(placement.image(image)).permute(2, 0, 1).float() / 255
        with torch.no_grad():
            values = attention_map(backbone(((pixels - mean) / std)[None])[place])[0].numpy()
        whole = cv2.resize(values, placement.shape[::-1], interpolation=cv2.INTER_LINEAR)
        left, top, right, bottom = placement.area
        shown = cv2.resize(whole[top:bottom, left:right], (width, height), interpolation=cv2.INTER_LINEAR)
        maps.append(np.asarray(shown, np.float32))
    return maps
