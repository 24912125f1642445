"""From all candidate boxes of an image to its detections: score floor, suppression by class, the best few."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.boxes import unsuppressed
from training.models import Area

MAX_CANDIDATES = 30_000  # suppression compares so many of the best by score, as in ultralytics


@dataclass(frozen=True)
class Predictions:
    """The boxes found in one image, best first.

    Attributes:
        boxes: (N, 4) float32, x0 y0 x1 y1 in pixels of the network's input, inside the image shown there.
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
    area: Area | None = None,
) -> Predictions:
    """Choose the detections of one image; a box may be found once for each of several classes.

    What shows nothing of the image (wholly outside, without an area, not finite) goes first, so that it
    takes no place among the best. Overlaps are those of whole boxes, as the libraries have them; what is
    kept is cut off at the image's border in the end.

    Args:
        boxes: (N, 1, 4), one for all classes, or (N, C, 4), one for each; x0 y0 x1 y1 pixels of the input.
        scores: (N, C) in [0, 1].
        size: height and width of the input.
        min_score: boxes must be better than this.
        nms_iou: overlap above which the worse of two boxes of a class goes; None keeps all.
        max_boxes: largest number of boxes that are kept.
        area: part of the input that shows the image; None takes all of it.
    """
    rows, labels = torch.nonzero(scores > min_score, as_tuple=True)
    values = scores[rows, labels].float()
    chosen = boxes[rows, labels if boxes.shape[1] > 1 else 0].float()
    height, width = size
    seen = torch.nonzero(shows(chosen, area or (0, 0, width, height)))[:, 0]
    order = seen[values[seen].argsort(descending=True, stable=True)[:MAX_CANDIDATES]]
    chosen, values, labels = chosen[order], values[order], labels[order]
    if nms_iou is not None:
        kept = unsuppressed(chosen, nms_iou, labels)
        chosen, values, labels = chosen[kept], values[kept], labels[kept]
    inside = cut(chosen[:max_boxes], area or (0, 0, width, height))
    return Predictions(inside, values[:max_boxes], labels[:max_boxes])


def cut(boxes: Tensor, area: Area) -> Tensor:
    """Boxes (N, 4) cut off at an area's border."""
    x0, y0, x1, y1 = area
    low, high = boxes.new_tensor([x0, y0, x0, y0]), boxes.new_tensor([x1, y1, x1, y1])
    return torch.minimum(torch.maximum(boxes, low), high)


def shows(boxes: Tensor, area: Area) -> Tensor:
    """(N,) bool: whether something of a box (N, 4) lies in an area; false where one is not finite."""
    inside = cut(boxes, area)
    return boxes.isfinite().all(dim=1) & (inside[:, 2:] > inside[:, :2]).all(dim=1)
