"""What a choice of components is worth: mask IoU, F1 and AP of boxes, or plausibility without any truth."""

import numpy as np
import numpy.typing as npt

from tuning.thresholds.component_table import Bools, ComponentTable
from tuning.thresholds.judged_maps import Judged, TruthKind

MASK_IOU, BOX_F1, BOX_AP, PLAUSIBILITY = "mask_iou", "box_f1", "box_ap50", "plausibility"
# By the truth there is; the first one is the default.
METRICS: dict[TruthKind, tuple[str, ...]] = {
    "masks": (MASK_IOU, BOX_F1, BOX_AP),
    "boxes": (BOX_F1, BOX_AP),
    "none": (PLAUSIBILITY,),
}
RECALLS = np.linspace(0, 1, 101)  # COCO's
PLAUSIBLE_COVERAGE = 0.25  # share of pixels; a defect that covers more is called the surface


def mask_iou(table: ComponentTable, kept: Bools, judged: Judged) -> float | None:
    """Pixels of the kept components against the masks, summed over images; None without a defective pixel."""
    truth = sum(len(pixels) for pixels in judged.pixels)
    if not truth:
        return None
    hits, area = int(table.hits[kept].sum()), int(table.area[kept].sum())
    return hits / (area + truth - hits)


def matched(table: ComponentTable, kept: Bools) -> Bools:
    """(N,) which kept components find a true box: best first, each the free one it overlaps most (COCO)."""
    found = np.zeros(len(table.area), np.bool_)
    if not len(table.matches):
        return found
    own = kept[table.matches[:, 0]]
    pairs, iou = table.matches[own], table.match_iou[own]
    taken: set[int] = set()
    for place in np.lexsort((-iou, pairs[:, 0], -table.peak[pairs[:, 0]])):
        component, box = int(pairs[place, 0]), int(pairs[place, 1])
        if not found[component] and box not in taken:
            found[component] = True
            taken.add(box)
    return found


def box_f1(table: ComponentTable, kept: Bools, judged: Judged) -> float | None:
    """F1 of the kept components' boxes at IoU 0.5, all classes as one; None without a true box."""
    truth = sum(len(boxes) for boxes in judged.boxes)
    if not truth:
        return None
    return 2 * int(matched(table, kept).sum()) / (int(kept.sum()) + truth)


def box_ap50(table: ComponentTable, kept: Bools, judged: Judged) -> float | None:
    """COCO's AP at IoU 0.5 (101 recalls), all classes as one, without its limit of 100 boxes an image."""
    truth = sum(len(boxes) for boxes in judged.boxes)
    if not truth:
        return None
    order = np.argsort(-table.peak[kept], kind="stable")
    hits = np.cumsum(matched(table, kept)[kept][order])
    recall, precision = hits / truth, hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())


def plausibility(
    table: ComponentTable, kept: Bools, judged: Judged, above: float, below: float
) -> dict[str, float]:
    """What can be said without truth; it prefers thresholds that change little, not those that are right.

    Args:
        table, kept: at the threshold.
        judged: the images; the normal ones among them are references.
        above, below: pixels in masks just above and just below the threshold.

    Returns:
        `stability` (IoU of those two masks), `clean` (share of the references without a box), `coverage`
        (share of pixels in kept components), and their product `plausibility`, in which coverage counts as 1
        up to a quarter and less beyond.
    """
    pixels = float(judged.sizes.prod(1).sum())
    coverage = float(table.area[kept].sum()) / pixels if pixels else 0.0
    normal = int(judged.normal.sum())
    dirty = len(np.unique(table.image[kept & judged.normal[table.image]]))
    stability = above / below if below else 0.0
    clean = 1 - dirty / normal if normal else 1.0
    plausible = min(1.0, PLAUSIBLE_COVERAGE / coverage) if coverage else 0.0
    return {
        "stability": stability,
        "clean": clean,
        "coverage": coverage,
        PLAUSIBILITY: stability * clean * plausible,
    }


def counts(table: ComponentTable, kept: Bools, judged: Judged) -> dict[str, float]:
    """`boxes_per_image` and `images_with_boxes` (share)."""
    images = max(1, len(judged))
    return {
        "boxes_per_image": float(kept.sum()) / images,
        "images_with_boxes": len(np.unique(table.image[kept])) / images,
    }


def mean_of(rows: list[dict[str, float]]) -> dict[str, float]:
    """Means over the categories that have the figure, each category counting alike."""
    names = dict.fromkeys(name for row in rows for name in row)
    values: dict[str, npt.NDArray[np.float64]] = {
        name: np.array([row[name] for row in rows if name in row]) for name in names
    }
    return {name: float(column.mean()) for name, column in values.items()}
