"""How many pseudo-boxes meet a labelled defect, and how many defects are met: why AGDP helps, or doesn't."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.stages import Artifact
from pipelines.boxes import box_shares
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
    shares, nan = box_shares(pseudo_boxes, truth, iou), float("nan")
    precision, recall = (nan if share is None else share for share in (shares.right, shares.met))
    return BoxQuality(shares.boxes, shares.defects, precision, recall)


def labelled_half(half: Path, layout: str) -> dict[str, list[Box]]:
    """The labelled boxes of a half's images, by the content that the corpus knows them by too."""
    section = CorpusSection(root=str(half), layout=layout, reference_count=0, test_share=0)
    corpus = Corpus(inspect(Listing(section).table()), section, {})
    return {row["image_id"]: row["boxes"] or [] for row in corpus.manifest}


def stage_quality(boxes: Artifact, truth: Mapping[str, Sequence[Box]], iou: float) -> BoxQuality:
    """Quality of a boxes stage's pseudo-boxes."""
    rows = boxes.directory.read_table("boxes.parquet", columns=["image_id", "boxes"]).to_pylist()
    return box_quality({row["image_id"]: row["boxes"] for row in rows}, truth, iou)
