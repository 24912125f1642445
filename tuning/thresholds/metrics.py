"""The worth of a choice of components: mask IoU, F1 and AP of boxes, or plausibility without any truth."""

import numpy as np
import numpy.typing as npt

from tuning.thresholds.component_table import Bools, ComponentTable
from tuning.thresholds.judged_maps import Judged, TruthKind

MASK_IOU, BOX_F1, BOX_AP, PLAUSIBILITY = "mask_iou", "box_f1", "box_ap50", "plausibility"
# Metrics by kind of truth; the first one is the default.
METRICS: dict[TruthKind, tuple[str, ...]] = {
    "masks": (MASK_IOU, BOX_F1, BOX_AP),
    "boxes": (BOX_F1, BOX_AP),
    "none": (PLAUSIBILITY,),
}
RECALLS = np.linspace(0, 1, 101)  # COCO's
PLAUSIBLE_COVERAGE = 0.25  # share of pixels; what covers more is the surface and no defect


def mask_iou(table: ComponentTable, selected: Bools, judged: Judged) -> float | None:
    """IoU of selected components and masks, over all images' pixels; None without a defective pixel."""
    truth = sum(len(pixels) for pixels in judged.pixels)
    if not truth:
        return None
    hits, area = int(table.hits[selected].sum()), int(table.area[selected].sum())
    return hits / (area + truth - hits)


def matched(table: ComponentTable, selected: Bools) -> Bools:
    """(N,) which selected components match a true box: the best first, each the free box it overlaps most."""
    hits = np.zeros(len(table.area), np.bool_)
    if not len(table.matches):
        return hits
    candidates = selected[table.matches[:, 0]]
    pairs, iou = table.matches[candidates], table.match_iou[candidates]
    found_boxes: set[int] = set()
    for place in np.lexsort((-iou, pairs[:, 0], -table.peak[pairs[:, 0]])):
        component, box = int(pairs[place, 0]), int(pairs[place, 1])
        if not hits[component] and box not in found_boxes:
            hits[component] = True
            found_boxes.add(box)
    return hits


def counted(table: ComponentTable, selected: Bools, hits: Bools) -> Bools:
    """(N,) the selected components that are right or wrong; those in ignored regions are neither."""
    return selected & (hits | ~table.ignored)


def box_f1(table: ComponentTable, selected: Bools, judged: Judged) -> float | None:
    """F1 of the selected components' boxes at IoU 0.5, all classes as one; None without a true box."""
    truth = sum(len(boxes) for boxes in judged.boxes)
    if not truth:
        return None
    hits = matched(table, selected)
    return 2 * int(hits.sum()) / (int(counted(table, selected, hits).sum()) + truth)


def box_ap50(table: ComponentTable, selected: Bools, judged: Judged) -> float | None:
    """COCO's AP at IoU 0.5 (101 recalls), all classes as one, without its limit of 100 boxes an image."""
    truth = sum(len(boxes) for boxes in judged.boxes)
    if not truth:
        return None
    matches = matched(table, selected)
    judged_by = counted(table, selected, matches)
    order = np.argsort(-table.peak[judged_by], kind="stable")
    hits = np.cumsum(matches[judged_by][order])
    recall, precision = hits / truth, hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())


def plausibility(
    table: ComponentTable, selected: Bools, judged: Judged, above: float, below: float
) -> dict[str, float]:
    """A judgement without truth: it prefers thresholds at which masks change little, not the right ones.

    Args:
        table, selected: components at the threshold, and which of them are selected.
        judged: images with their maps; the normal ones among them are references.
        above, below: numbers of mask pixels just above and just below the threshold.

    Returns:
        `stability` (IoU of the masks above and below), `clean` (share of the references without a box),
        `coverage` (share of pixels in selected components), and their product `plausibility`, in which
        coverage counts as 1 up to a quarter and less beyond.
    """
    pixels = float(judged.sizes.prod(1).sum())
    coverage = float(table.area[selected].sum()) / pixels if pixels else 0.0
    normal = int(judged.normal.sum())
    dirty = len(np.unique(table.image[selected & judged.normal[table.image]]))
    stability = above / below if below else 0.0
    clean = 1 - dirty / normal if normal else 1.0
    plausible = min(1.0, PLAUSIBLE_COVERAGE / coverage) if coverage else 0.0
    return {
        "stability": stability,
        "clean": clean,
        "coverage": coverage,
        PLAUSIBILITY: stability * clean * plausible,
    }


def counts(table: ComponentTable, selected: Bools, judged: Judged) -> dict[str, float]:
    """`boxes_per_image` and `images_with_boxes` (share)."""
    images = max(1, len(judged))
    return {
        "boxes_per_image": float(selected.sum()) / images,
        "images_with_boxes": len(np.unique(table.image[selected])) / images,
    }


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the categories that have the figure; every category counts the same."""
    names = dict.fromkeys(name for row in rows for name in row)
    values: dict[str, npt.NDArray[np.float64]] = {
        name: np.array([row[name] for row in rows if name in row]) for name in names
    }
    return {name: float(column.mean()) for name, column in values.items()}
