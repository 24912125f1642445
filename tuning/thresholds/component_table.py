"""Connected components of many maps at one threshold: found once, then selected in microseconds."""

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipelines.boxes import Region, regions, shares_within, smallest_area
from pipelines.maps import upsample
from tuning.thresholds.judged_maps import Judged

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
MATCH_IOU = 0.5
CHUNK = 32  # images a thread takes at once


@dataclass(frozen=True)
class ComponentTable:
    """All components of all images of a `Judged` at one threshold, image by image, best first in each.

    Attributes:
        image: (N,) place of the image.
        boxes: (N, 4) x0 y0 x1 y1, x1 and y1 exclusive.
        area: (N,) area in pixels.
        peak: (N,) maximum of M inside.
        hits: (N,) defective pixels inside, by the masks.
        overlaps: (P, 2) pairs of components of one image whose boxes overlap, the better first.
        overlap_iou: (P,) IoU of their boxes.
        matches: (Q, 2) component and true box (counted over all images) with IoU ≥ 0.5.
        match_iou: (Q,) IoU of component and true box.
        ignored: (N,) whether at least half of the box lies in an ignored region.
    """

    image: Ints
    boxes: npt.NDArray[np.float32]
    area: Ints
    peak: npt.NDArray[np.float64]
    hits: Ints
    overlaps: Ints
    overlap_iou: Floats
    matches: Ints
    match_iou: Floats
    ignored: Bools

    def selected(
        self,
        judged: Judged,
        *,
        delta: float,
        top_k: int,
        nms_iou: float,
        min_area: int | Literal["released"],
    ) -> Bools:
        """(N,) which components become pseudo-boxes, by the rules of `pipelines.boxes.pseudo_boxes`."""
        if min_area == "released":
            least = np.array([smallest_area("released", int(w), int(h)) for w, h in judged.sizes])
        else:
            least = np.full(len(judged), min_area)
        selected = (judged.scores >= delta)[self.image] & (self.area >= least[self.image])
        # Rank among the selected of its image: components stand image by image, best first.
        total = np.cumsum(selected)
        first = np.searchsorted(self.image, self.image)
        before = np.where(first > 0, total[first - 1], 0) if len(total) else total
        selected &= total - before <= top_k
        for better, worse in self.overlaps[self.overlap_iou > nms_iou]:
            if selected[better] and selected[worse]:
                selected[worse] = False
        return selected


def component_table(judged: Judged, threshold: float, pool: Executor) -> ComponentTable:
    """The components of every image at a threshold.

    Args:
        judged: images with their maps.
        threshold: T, as `anomaly_mask` takes it.
        pool: threads that share the work; OpenCV and numpy release the interpreter's lock.
    """
    # Bilinear values never exceed the grid's greatest one, so the others have no component.
    above = np.flatnonzero(judged.maxima >= np.float32(threshold))
    offsets = np.cumsum([0, *(len(boxes) for boxes in judged.boxes)])
    chunks = [above[start : start + CHUNK] for start in range(0, len(above), CHUNK)]
    rows = [
        row for part in pool.map(lambda chunk: list(_rows(judged, chunk, threshold)), chunks) for row in part
    ]
    starts = np.cumsum([0, *(len(row.area) for row in rows)])
    pairs = [row.overlaps + start for row, start in zip(rows, starts, strict=False)]
    matches = [
        row.matches + np.array([start, offsets[row.place]]) for row, start in zip(rows, starts, strict=False)
    ]
    return ComponentTable(
        image=np.repeat([row.place for row in rows], [len(row.area) for row in rows]).astype(np.int64),
        boxes=_joined([row.boxes for row in rows], (0, 4), np.float32),
        area=_joined([row.area for row in rows], (0,), np.int64),
        peak=_joined([row.peak for row in rows], (0,), np.float64),
        hits=_joined([row.hits for row in rows], (0,), np.int64),
        overlaps=_joined(pairs, (0, 2), np.int64),
        overlap_iou=_joined([row.overlap_iou for row in rows], (0,), np.float64),
        matches=_joined(matches, (0, 2), np.int64),
        match_iou=_joined([row.match_iou for row in rows], (0,), np.float64),
        ignored=_joined([row.ignored for row in rows], (0,), np.bool_),
    )


@dataclass(frozen=True)
class _Image:
    """One image's part of a table; its pairs count from the first component and true box of the image."""

    place: int
    boxes: npt.NDArray[np.float32]
    area: Ints
    peak: npt.NDArray[np.float64]
    hits: Ints
    overlaps: Ints
    overlap_iou: Floats
    matches: Ints
    match_iou: Floats
    ignored: Bools


def _rows(judged: Judged, places: Ints, threshold: float) -> Iterator[_Image]:
    for place in places:
        width, height = (int(side) for side in judged.sizes[place])
        components = regions(upsample(judged.maps[place], width, height), threshold)
        if not components:
            continue
        boxes = np.array([region.corners for region in components], np.float32)
        overlaps, overlap_iou = _pairs(boxes, boxes, 0.0)
        ordered = overlaps[:, 0] < overlaps[:, 1]
        matches, match_iou = _pairs(boxes, judged.boxes[place], MATCH_IOU)
        y, x = np.divmod(judged.pixels[place], width)
        hits = np.array([_hits(region, y, x) for region in components])
        yield _Image(
            int(place),
            boxes,
            np.array([region.area for region in components]),
            np.array([region.peak for region in components]),
            hits,
            overlaps[ordered],
            overlap_iou[ordered],
            matches,
            match_iou,
            _within(boxes, judged.ignored[place]) if judged.ignored else np.zeros(len(boxes), np.bool_),
        )


def _within(boxes: npt.NDArray[np.float32], areas: npt.NDArray[np.float64]) -> Bools:
    inside: Bools = shares_within(boxes.astype(np.float64), areas).max(axis=1, initial=0) >= MATCH_IOU
    return inside


def _hits(region: Region, y: Ints, x: Ints) -> int:
    """Number of these pixels that lie in the region."""
    height, width = region.inside.shape
    near = (y >= region.y) & (y < region.y + height) & (x >= region.x) & (x < region.x + width)
    return int(np.count_nonzero(region.inside[y[near] - region.y, x[near] - region.x]))


def _pairs(first: npt.NDArray[Any], second: npt.NDArray[Any], least: float) -> tuple[Ints, Floats]:
    """Index pairs of boxes whose IoU is above 0 and at least `least`, and that IoU.

    In float64, where an overlap of exactly a limit is that limit: see `pipelines.boxes.unsuppressed`.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    corner = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.clip(corner[1] - corner[0], 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    iou = inter / (areas[0][:, None] + areas[1][None] - inter)
    chosen = np.argwhere((iou > 0) & (iou >= least))
    return chosen.astype(np.int64), iou[chosen[:, 0], chosen[:, 1]]


def _joined(parts: list[Any], shape: tuple[int, ...], kind: type) -> Any:
    return np.concatenate(parts).astype(kind) if parts else np.zeros(shape, kind)
