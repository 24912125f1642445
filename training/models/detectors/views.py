"""An image and its mirror images: what a detector finds in each, fused to one answer."""

from collections.abc import Sequence
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.boxes import ious
from training.models import Area, Flip
from training.models.detectors.suppression import Predictions

AXES: dict[Flip, int] = {"lr": -1, "ud": -2}
AGREEMENT = 0.55  # IoU above which boxes of different views are of one object, as in the source

Boxes = npt.NDArray[np.float64]
Side = TypeVar("Side", int, Tensor)


def views_of(flips: Sequence[Flip]) -> list[tuple[Flip, ...]]:
    """Every combination of these flips, the image as it is first; `["lr", "ud"]` gives four."""
    choices = product(*(((), (flip,)) for flip in flips))
    return [tuple(flip for part in choice for flip in part) for choice in choices]


def mirrored(images: Tensor, view: Sequence[Flip]) -> Tensor:
    """Images (..., H, W) flipped left to right, upside down, both or not at all."""
    return images.flip([AXES[flip] for flip in view]) if view else images


def mirrored_area(area: Area, view: Sequence[Flip], size: tuple[int, int]) -> Area:
    """Where a part of an image of this height and width lies in its mirror image."""
    return _turned(area, view, size)


def mirrored_boxes(boxes: Tensor, view: Sequence[Flip], size: tuple[int, int]) -> Tensor:
    """Boxes (N, 4) of an image of this height and width, in its mirror image; its own inverse."""
    x0, y0, x1, y1 = boxes.unbind(1)
    return torch.stack(_turned((x0, y0, x1, y1), view, size), 1)


def _turned(
    sides: tuple[Side, Side, Side, Side], view: Sequence[Flip], size: tuple[int, int]
) -> tuple[Side, Side, Side, Side]:
    x0, y0, x1, y1 = sides
    height, width = size
    if "lr" in view:
        x0, x1 = width - x1, width - x0
    if "ud" in view:
        y0, y1 = height - y1, height - y0
    return x0, y0, x1, y1


def fused(views: Sequence[Predictions], *, min_score: float, max_boxes: int) -> Predictions:
    """One answer of several views' answers: weighted boxes fusion, a box a view.

    By falling score, each box belongs to the object of its class that it overlaps most, if by an IoU above
    `AGREEMENT`; else it is an object of its own. An object's box is the mean of its boxes, weighted by
    score. Its score is the sum of each view's best over the number of views, so that what one view alone
    finds counts little.

    In the source an object's score is the mean of all its boxes, of which a view may have several: weak
    leftovers of suppression would drag it down.

    Args:
        views: the answers, in one image's pixels.
        min_score: only better objects are kept.
        max_boxes: largest number of objects that are kept, the best.

    Source: Solovyev, Wang and Gabruseva, Weighted boxes fusion, 2021.
    """
    boxes = torch.cat([view.boxes for view in views]).double().cpu().numpy()
    scores = torch.cat([view.scores for view in views]).double().cpu().numpy()
    labels = torch.cat([view.labels for view in views]).cpu().numpy()
    seen_by = np.repeat(np.arange(len(views)), [len(view.scores) for view in views])
    objects: list[tuple[Boxes, float, int]] = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        places = places[np.argsort(-scores[places], kind="stable")]
        means, sums = _fused_class(boxes[places], scores[places], seen_by[places], len(views))
        objects += [(box, total / len(views), label) for box, total in zip(means, sums, strict=True)]
    objects.sort(key=lambda one: -one[1])
    kept = [one for one in objects if one[1] > min_score][:max_boxes]
    like = views[0]
    return Predictions(
        torch.tensor(np.array([box for box, *_ in kept]).reshape(-1, 4)).to(like.boxes),
        torch.tensor([score for _, score, _ in kept], dtype=torch.float64).to(like.scores),
        torch.tensor([label for *_, label in kept], dtype=torch.int64).to(like.labels),
    )


def _fused_class(
    boxes: Boxes, scores: npt.NDArray[np.float64], seen_by: npt.NDArray[np.int64], count: int
) -> tuple[Boxes, npt.NDArray[np.float64]]:
    """Mean boxes (M, 4) and sums of scores (M,) of one class's boxes, which are sorted, best first."""
    means, weighted, weights = np.zeros_like(boxes), np.zeros_like(boxes), np.zeros_like(scores)
    best = np.zeros((len(boxes), count))
    objects = 0
    for box, score, view in zip(boxes, scores, seen_by, strict=True):
        overlaps = ious(box[None], means[:objects])[0]
        place = int(overlaps.argmax()) if objects else 0
        if not objects or overlaps[place] <= AGREEMENT:
            place, objects = objects, objects + 1
        weighted[place] += score * box
        weights[place] += score
        means[place] = weighted[place] / weights[place]
        best[place, view] = max(best[place, view], score)
    return means[:objects], best[:objects].sum(1)
