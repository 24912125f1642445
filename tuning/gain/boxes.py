"""How the boxes that a detector is pretrained on lie to the labelled ones of the same images."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torchvision.ops import box_iou

from cluster.stages import Artifact
from pipelines.tables import CorpusTables, box_array, has_defect
from tuning.gain.results import BoxShares

IOU = 0.5
Boxes = Sequence[Mapping[str, Any]]


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
            meets = box_iou(*(torch.from_numpy(box_array(each)) for each in (drawn, labelled))) >= iou
            right, met = right + int(meets.any(1).sum()), met + int(meets.any(0).sum())
    return BoxShares(boxes, defects, right / boxes if boxes else None, met / defects if defects else None)


def pseudo_box_shares(corpus: Artifact, boxes: Artifact) -> BoxShares:
    """Shares of the pseudo-boxes, or of what later rounds made of them, in the labelled training images.

    Args:
        corpus: the corpus stage's artifact.
        boxes: that of the boxes stage, or of a detector's later round: both hold `boxes.parquet`.
    """
    tables = CorpusTables(corpus.directory)
    training, labelled = tables.pretraining(), tables.boxes()
    rows = boxes.directory.read_table("boxes.parquet", columns=["image_id", "boxes"]).to_pylist()
    truth = {image: labelled[image] for image in training if image in labelled}
    return box_shares({row["image_id"]: row["boxes"] for row in rows}, truth)


def defective_share(corpus: Artifact) -> float | None:
    """Share of the labelled images of the training half that show a defect; None without any."""
    tables = CorpusTables(corpus.directory)
    training = tables.pretraining()
    shown = [has_defect(row) for image, row in tables.labels().items() if image in training]
    return sum(shown) / len(shown) if shown else None
