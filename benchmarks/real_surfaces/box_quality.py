"""How many pseudo-boxes meet a labelled defect, and how many defects are met: why AGDP helps, or doesn't."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torchvision.ops import box_iou

from cluster.stages import Artifact
from pipelines.corpus import Corpus, CorpusSection, Listing, inspect

Box = Mapping[str, Any]


@dataclass(frozen=True)
class BoxQuality:
    """Pseudo-boxes against labelled ones.

    Attributes:
        boxes, defects: their numbers.
        precision: share of the boxes that meet a defect; NaN without a box.
        recall: share of the defects that are met; NaN without a defect.
    """

    boxes: int
    defects: int
    precision: float
    recall: float


def box_quality(
    pseudo_boxes: Mapping[str, Sequence[Box]], truth: Mapping[str, Sequence[Box]], iou: float
) -> BoxQuality:
    """Quality on the images in `truth`; a box meets each defect that it overlaps by `iou` or more.

    Args:
        pseudo_boxes, truth: boxes (`x0`, `y0`, `x1`, `y1`) by image; an image without is empty or absent.
        iou: the least IoU, 0–1.
    """
    boxes = defects = good = met = 0
    for image, labelled in truth.items():
        drawn = pseudo_boxes.get(image, ())
        boxes, defects = boxes + len(drawn), defects + len(labelled)
        if drawn and labelled:
            meets = box_iou(_corners(drawn), _corners(labelled)) >= iou
            good, met = good + int(meets.any(1).sum()), met + int(meets.any(0).sum())
    nan = float("nan")
    return BoxQuality(boxes, defects, good / boxes if boxes else nan, met / defects if defects else nan)


def labelled_half(half: Path, layout: str) -> dict[str, list[Box]]:
    """The labelled boxes of a half's images, by the content that the corpus knows them by too."""
    section = CorpusSection(root=str(half), layout=layout, reference_count=0, test_share=0)
    corpus = Corpus(inspect(Listing(section).table()), section, {})
    return {row["image_id"]: row["boxes"] or [] for row in corpus.manifest}


def stage_quality(boxes: Artifact, truth: Mapping[str, Sequence[Box]], iou: float) -> BoxQuality:
    """Quality of a boxes stage's pseudo-boxes."""
    rows = boxes.directory.read_table("boxes.parquet", columns=["image_id", "boxes"]).to_pylist()
    return box_quality({row["image_id"]: row["boxes"] for row in rows}, truth, iou)


def _corners(boxes: Sequence[Box]) -> torch.Tensor:
    return torch.tensor([[float(box[side]) for side in ("x0", "y0", "x1", "y1")] for box in boxes])
