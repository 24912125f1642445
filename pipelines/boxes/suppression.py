"""Non-maximum suppression by one rule: a box that overlaps a better kept one by more than the limit goes."""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # torch and torchvision take seconds, which boxes cut from maps don't need
    from torch import Tensor


def unsuppressed_few(boxes: npt.NDArray[np.float64], limit: float) -> list[int]:
    """The same as `unsuppressed` for a few boxes on the CPU, without PyTorch.

    Args:
        boxes: (N, 4) x0 y0 x1 y1, best first, finite and with an area.
        limit: IoU in (0, 1] above which the worse of two boxes goes.

    Returns:
        Their indices, rising: best first.
    """
    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for index, box in enumerate(boxes):
        better = boxes[kept]
        sides = np.minimum(box[2:], better[:, 2:]) - np.maximum(box[:2], better[:, :2])
        shared = np.prod(np.maximum(sides, 0), axis=1)
        if not np.any(shared / (areas[index] + areas[kept] - shared) > limit):
            kept.append(index)
    return kept


def unsuppressed(boxes: "Tensor", limit: float, labels: "Tensor | None" = None) -> "Tensor":
    """Which boxes greedy suppression keeps.

    An overlap of exactly the limit keeps both boxes: overlaps are compared as float64, in which areas of
    whole pixels are exact and 4/5 is the very number 0.8. As float32, 4/5 lies above it.

    Args:
        boxes: (N, 4) x0 y0 x1 y1, best first, finite and with an area.
        limit: IoU in (0, 1] above which the worse of two boxes goes.
        labels: (N,) int64; only boxes of one label suppress each other. None takes all as of one.

    Returns:
        Their indices, int64, rising: best first.
    """
    import torch

    if labels is None:
        return _of_one_label(boxes.double(), limit)
    # Label by label, not moved apart in one plane: far from 0 boxes lose digits, and negative ones would
    # come to lie among another label's.
    kept = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    for label in sorted(set(labels.tolist())):
        rows = torch.nonzero(labels == label)[:, 0]
        kept[rows[_of_one_label(boxes[rows].double(), limit)]] = True
    return torch.nonzero(kept)[:, 0]


def _of_one_label(boxes: "Tensor", limit: float) -> "Tensor":
    if boxes.device.type == "cpu":
        return _by(boxes, limit)
    quick = by_float32_limits(boxes, limit)
    return _by(boxes.cpu(), limit).to(boxes.device) if quick is None else quick


def by_float32_limits(boxes: "Tensor", limit: float) -> "Tensor | None":
    """The same for an accelerator, where torchvision rounds the limit to float32; None where that decides.

    If the limits just below and just above keep the same boxes, so does every limit between them: each box
    that is kept overlaps no kept one by more than the lower, each that goes does by more than the upper.
    """
    import torch

    rounded = torch.tensor(limit, dtype=torch.float32)
    ends = rounded.new_tensor([-math.inf, math.inf])
    around = {float(x) for x in torch.nextafter(rounded, ends)} if float(rounded) != limit else {limit}
    first, *others = [_by(boxes, each) for each in sorted(around)]
    return first if all(torch.equal(first, other) for other in others) else None


def _by(boxes: "Tensor", limit: float) -> "Tensor":
    import torch
    from torchvision.ops import nms

    # Scores that only tell the order: the library's own sort need not keep the order of equal ones.
    falling = torch.arange(len(boxes), 0, -1, dtype=boxes.dtype, device=boxes.device)
    kept: Tensor = nms(boxes, falling, limit)
    return kept
