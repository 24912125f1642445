"""Boxes of overlapping tiles joined to the boxes of one image: no object twice, none in parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from pipelines.boxes import areas, ious, shares_within, unsuppressed
from training.metrics import Detections

AGREEMENT = 0.5  # IoU above which two boxes are one, of what both tiles saw
LIKE_SCORES = 0.5  # least share of the better box's score at which the worse one is another part of it
BORDER = 0.01  # of a tile's side, and two pixels at least: a box so near its border is cut there
LEAST_SHARED = 0.5  # pixels of a box within the part that both tiles saw
CONTAINED = 0.8  # share of a cut box within another tile's box at which it is a part of that
ROWS = 256  # boxes compared with all others at once
MOST_COMPARED = 10_000  # boxes that suppression compares, the best ones
MOST_BOXES = 1_000  # of an image, the best ones

Array = npt.NDArray[np.float64]
Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Boxes:
    """Boxes of all tiles: (N, 4), (N,), (N,), the tile's number (N,), whether its border cuts it (N,)."""

    boxes: Array
    scores: Array
    labels: npt.NDArray[np.int64]
    tiles: npt.NDArray[np.int64]
    cut: npt.NDArray[np.bool_]


def joined_over_seams(
    found: Sequence[Detections], tiles: Sequence[Rectangle], size: tuple[int, int], limit: float | None
) -> Detections:
    """The objects of an image, best first, `MOST_BOXES` at most.

    Two boxes of a class are of one object where, of the part that both tiles saw, their IoU is above
    `AGREEMENT` and a tile's border cuts one of them. A cut box goes where a whole one is its object; cut ones
    alone become the box around them, with the best score. A much better box takes the place of a cut one. A
    cut box that lies in one of another tile goes too. What is left goes through suppression by class.

    Args:
        found: each tile's boxes, in pixels of the image.
        tiles: left, top, right and bottom of each tile, pixels.
        size: the image's width and height, pixels.
        limit: IoU above which the worse of two boxes of a class goes; None: `AGREEMENT`.
    """
    if len(tiles) == 1:
        return found[0]
    every = _Boxes(
        np.concatenate([one.boxes.reshape(-1, 4) for one in found]),
        np.concatenate([one.scores for one in found]),
        np.concatenate([one.labels for one in found]),
        np.repeat(np.arange(len(found)), [len(one.scores) for one in found]),
        np.concatenate([_cut(one.boxes, tile, size) for one, tile in zip(found, tiles, strict=True)]),
    )
    boxes, scores, kept = _joined(every, tiles)
    kept = kept[(boxes[kept, 2:] > boxes[kept, :2]).all(1)]
    order = kept[np.argsort(-scores[kept], kind="stable")][:MOST_COMPARED]
    order = order[~_parts(replace(every, boxes=boxes, scores=scores), order)]
    best = unsuppressed(
        torch.from_numpy(boxes[order]),
        AGREEMENT if limit is None else limit,
        torch.from_numpy(every.labels[order]),
    ).numpy()
    order = order[best][:MOST_BOXES]
    return Detections(boxes[order], scores[order], every.labels[order])


def _cut(boxes: Array, tile: Rectangle, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which boxes end at a border of the tile that is none of the image."""
    left, top, right, bottom = tile
    near = max(2.0, BORDER * max(right - left, bottom - top))
    boxes = boxes.reshape(-1, 4)
    return np.asarray(
        ((boxes[:, 0] <= left + near) & (left > 0))
        | ((boxes[:, 1] <= top + near) & (top > 0))
        | ((boxes[:, 2] >= right - near) & (right < size[0]))
        | ((boxes[:, 3] >= bottom - near) & (bottom < size[1]))
    )


def _joined(every: _Boxes, tiles: Sequence[Rectangle]) -> tuple[Array, Array, npt.NDArray[np.int64]]:
    """Boxes and scores after parts are joined, and the places of those that stay."""
    pairs = _one_object(every, tiles)
    groups = {place: {place} for place in np.unique(pairs).tolist()}
    gone: set[int] = set()
    for one, other in pairs.tolist():
        worse, better = sorted((one, other), key=lambda place: float(every.scores[place]))
        if every.scores[worse] < LIKE_SCORES * every.scores[better]:
            if every.cut[worse]:
                gone.add(worse)
        elif groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for place in groups[other]:
                groups[place] = groups[one]
    boxes, scores = every.boxes.copy(), every.scores.copy()
    for group in {id(group): group for group in groups.values()}.values():
        members = np.array(sorted(group - gone), np.int64)
        if len(members) < 2:
            continue
        if not every.cut[members].all():
            gone |= set(members[every.cut[members]].tolist())
            continue
        best = members[every.scores[members].argmax()]
        boxes[best, :2], boxes[best, 2:] = boxes[members, :2].min(0), boxes[members, 2:].max(0)
        gone |= set(members.tolist()) - {int(best)}
    return boxes, scores, np.setdiff1d(np.arange(len(scores)), np.array(sorted(gone), np.int64))


def _parts(every: _Boxes, places: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the boxes at these places are cut and lie in one of another tile, of a like score."""
    parts = np.zeros(len(places), np.bool_)
    boxes, scores, tiles = every.boxes[places], every.scores[places], every.tiles[places]
    sizes, labels = areas(boxes), every.labels[places]
    cut = np.flatnonzero(every.cut[places])
    for start in range(0, len(cut), ROWS):
        some = cut[start : start + ROWS]
        shared = shares_within(boxes[some], boxes)
        larger = sizes[None] > sizes[some][:, None]
        alike = (labels[some][:, None] == labels[None]) & (tiles[some][:, None] != tiles[None])
        sure = scores[None] >= LIKE_SCORES * scores[some][:, None]
        parts[some] = (larger & alike & sure & (shared >= CONTAINED)).any(1)
    return parts


def _one_object(every: _Boxes, tiles: Sequence[Rectangle]) -> npt.NDArray[np.int64]:
    """(P, 2) places of boxes of different tiles that agree on what both tiles saw, a border cutting one."""
    places = [np.flatnonzero(every.tiles == tile) for tile in range(len(tiles))]
    corners, pairs = np.array(tiles, np.float64), [np.zeros((0, 2), np.int64)]
    for first in range(len(tiles)):
        shared_low = np.maximum(corners[first, :2], corners[first + 1 :, :2])
        shared_high = np.minimum(corners[first, 2:], corners[first + 1 :, 2:])
        for offset in np.flatnonzero((shared_high - shared_low >= LEAST_SHARED).all(1)):
            second, low, high = first + 1 + int(offset), shared_low[offset], shared_high[offset]
            a, b = places[first], places[second]
            agreeing = ious(_within(every.boxes[a], low, high), _within(every.boxes[b], low, high))
            alike = every.labels[a][:, None] == every.labels[b][None]
            cut = every.cut[a][:, None] | every.cut[b][None]
            rows, columns = np.nonzero((agreeing > AGREEMENT) & alike & cut)
            pairs.append(np.stack([a[rows], b[columns]], 1))
    return np.concatenate(pairs)


def _within(boxes: Array, low: Array, high: Array) -> Array:
    """The parts of boxes in a rectangle, (N, 4); of too small a part nothing."""
    parts = np.concatenate([np.maximum(boxes[:, :2], low), np.minimum(boxes[:, 2:], high)], 1)
    parts[((parts[:, 2:] - parts[:, :2]) < LEAST_SHARED).any(1)] = 0
    return parts
