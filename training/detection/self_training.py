"""Self-training: what a finetuned detector finds on images without labels, as images to learn from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.tables import REFERENCE, CorpusTables, LabelRow, has_defect
from training.detection.data import Sample


@dataclass(frozen=True)
class PseudoLabelled:
    """Images whose boxes a detector has drawn.

    Attributes:
        samples: the images; doubtful detections are ignored regions.
        learnt, hidden: numbers of boxes learnt, and of doubtful ones.
    """

    samples: tuple[Sample, ...] = ()
    learnt: int = 0
    hidden: int = 0

    def counts(self) -> dict[str, int]:
        """Counts for the stage's record."""
        return {
            "pseudo_labelled_images": len(self.samples),
            "pseudo_labels": self.learnt,
            "doubtful_detections": self.hidden,
        }


def known_normal(tables: CorpusTables, labels: Mapping[str, LabelRow]) -> frozenset[str]:
    """Ids of the images that a person calls normal: references, and those labelled as without a defect."""
    rows = tables.manifest(columns=("image_id", "role"))
    references = {row["image_id"] for row in rows if row["role"] == REFERENCE}
    return frozenset(references | {one for one, row in labels.items() if not has_defect(row)})


def ignored_alone(labels: Mapping[str, LabelRow]) -> frozenset[str]:
    """Ids of the images whose only defects are in ignored regions: no object and no background."""
    return frozenset(one for one, row in labels.items() if row["ignored"] and not row["boxes"])


def with_normal(rows: Sequence[Mapping[str, Any]], normal: frozenset[str]) -> list[dict[str, Any]]:
    """Rows of detections as rows of the table of pseudo-labels; a normal image has no box."""
    marked = [{**row, "normal": row["image_id"] in normal} for row in rows]
    return [{**row, "boxes": []} if row["normal"] else row for row in marked]


def pseudo_labelled(
    rows: Iterable[Mapping[str, Any]], taken: frozenset[str], classes: Sequence[str], sure: float
) -> PseudoLabelled:
    """Images to learn from beside the labelled ones (docs/method.md#self-training).

    Args:
        rows: rows of the table of pseudo-labels.
        taken: ids of the images that are learnt from or measured on with their true labels.
        classes: names in label order; detections of others are doubtful.
        sure: score from which a detection is an object; others are hidden, neither object nor background.
    """
    index = {name: number for number, name in enumerate(classes)}
    samples, learnt, hidden = [], 0, 0
    for row in rows:
        if row["image_id"] in taken:
            continue
        objects: list[Mapping[str, Any]] = []
        doubtful: list[Mapping[str, Any]] = []
        for box in row["boxes"]:
            (objects if box["score"] >= sure and box["label"] in index else doubtful).append(box)
        labels = [index[box["label"]] for box in objects]
        samples.append(Sample.of(row, objects, labels, None, doubtful, [-1] * len(doubtful)))
        learnt, hidden = learnt + len(objects), hidden + len(doubtful)
    return PseudoLabelled(tuple(samples), learnt, hidden)
