"""How pseudo-boxes lie to the labelled boxes of the same images: shares that are right, and that are met."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.stages import Artifact
from pipelines.boxes.overlap import ious
from pipelines.tables import CorpusTables, box_array

IOU = 0.5
Boxes = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class BoxShares:
    """How boxes lie to the labelled ones of the same images.

    Attributes:
        boxes, defects: their numbers.
        right: share of the boxes that meet a labelled one; None without a box.
        met: share of the labelled ones that are met; None without one.
    """

    boxes: int
    defects: int
    right: float | None
    met: float | None

    @property
    def f1(self) -> float:
        """The harmonic mean of both shares; 0 where either is 0 or there is none."""
        right, met = self.right or 0.0, self.met or 0.0
        return 2 * right * met / (right + met) if right + met else 0.0


def box_shares(learnt: Mapping[str, Boxes], truth: Mapping[str, Boxes], iou: float = IOU) -> BoxShares:
    """Shares on the images of `truth`; a box meets each labelled one that it overlaps by `iou` or more.

    Args:
        learnt, truth: boxes (`x0`, `y0`, `x1`, `y1`) by image; an image without is empty or absent.
        iou: the least IoU, 0–1.
    """
    boxes = defects = right = met = 0
    for image, labelled in truth.items():
        drawn = learnt.get(image, ())
        boxes, defects = boxes + len(drawn), defects + len(labelled)
        if drawn and labelled:
            meets = ious(box_array(drawn), box_array(labelled)) >= iou
            right, met = right + int(meets.any(1).sum()), met + int(meets.any(0).sum())
    return BoxShares(boxes, defects, right / boxes if boxes else None, met / defects if defects else None)


def pseudo_box_shares(corpus: Artifact, boxes: Artifact, images: Collection[str] | None = None) -> BoxShares:
    """Shares of the pseudo-boxes, or of what later rounds made of them, in the labelled training images.

    Args:
        images: ids of those that count; None takes all.
        corpus: the corpus stage's artifact.
        boxes: that of the boxes stage, or of a detector's later round: both hold `boxes.parquet`.
    """
    tables = CorpusTables(corpus.directory)
    training, labelled = tables.pretraining(), tables.boxes()
    counted = training if images is None else training & frozenset(images)
    truth = {image: labelled[image] for image in counted if image in labelled}
    if not truth:
        return BoxShares(0, 0, None, None)
    rows = boxes.directory.read_table("boxes.parquet", columns=["image_id", "boxes"]).to_pylist()
    return box_shares({row["image_id"]: row["boxes"] for row in rows if row["image_id"] in truth}, truth)
