"""From all candidate boxes of an image to its detections: score floor, suppression by class, the best few."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

MAX_CANDIDATES = 30_000  # suppression compares so many of the best by score, as in ultralytics


@dataclass(frozen=True)
class Predictions:
    """The boxes found in one image, best first.

    Attributes:
        boxes: (N, 4) float32, x0 y0 x1 y1 in pixels of the network's input, inside it.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64, index into the detector's `classes`.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def suppress(
    boxes: Tensor,
    scores: Tensor,
    *,
    size: tuple[int, int],
    min_score: float,
    nms_iou: float | None,
    max_boxes: int,
) -> Predictions:
    """Choose the detections of one image; a box may be found once for each of several classes.

    Args:
        boxes: (N, 1, 4), one for all classes, or (N, C, 4), one for each; x0 y0 x1 y1 pixels of the input.
        scores: (N, C) in [0, 1].
        size: height and width of the input; boxes are cut off at its border.
        min_score: boxes must be better than this.
        nms_iou: overlap above which the worse of two boxes of a class goes; None keeps all.
        max_boxes: largest number of boxes that are kept.
    """
    rows, labels = torch.nonzero(scores > min_score, as_tuple=True)
    values = scores[rows, labels].float()
    order = values.argsort(descending=True, stable=True)[:MAX_CANDIDATES]
    rows, labels, values = rows[order], labels[order], values[order]
    chosen = boxes[rows, labels if boxes.shape[1] > 1 else 0].float()
    if nms_iou is None:
        survivors = torch.arange(len(values), device=values.device)
    else:
        survivors = batched_nms(chosen, values, labels, nms_iou)
    survivors = survivors[:max_boxes]
    height, width = size
    limits = chosen.new_tensor([width, height, width, height])
    inside = torch.minimum(chosen[survivors].clamp(min=0), limits)
    seen = (inside[:, 2:] > inside[:, :2]).all(dim=1)
    survivors = survivors[seen]
    return Predictions(inside[seen], values[survivors], labels[survivors])
