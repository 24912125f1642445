"""COCO average precision from plain arrays (faster-coco-eval does the sums)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

MAX_DETECTIONS = 100  # per image and class, as the COCO protocol has it


@dataclass(frozen=True)
class Truth:
    """What is in one image.

    Attributes:
        boxes: (N, 4) x0 y0 x1 y1, pixels; N = 0 for a background, where every detection is a false one.
        labels: (N,) int64.
    """

    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Detections:
    """What a detector found in one image.

    Attributes:
        boxes: (N, 4) x0 y0 x1 y1, in the same pixels as the truth's.
        scores: (N,) any order.
        labels: (N,) int64.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassPrecision:
    """AP of one class in [0, 1]; NaN where the truth has no box of it.

    Attributes:
        name: of the class.
        boxes: true boxes.
        map50, map50_95: AP at IoU 0.5, and its mean over IoU 0.50, 0.55 … 0.95.
    """

    name: str
    boxes: int
    map50: float
    map50_95: float


@dataclass(frozen=True)
class AveragePrecision:
    """Means over the classes that the truth has, in [0, 1], and every class."""

    map50: float
    map50_95: float
    classes: tuple[ClassPrecision, ...]


def average_precision(
    truths: Sequence[Truth], detections: Sequence[Detections], classes: Sequence[str]
) -> AveragePrecision:
    """The COCO protocol (101 recall points, all areas, 100 detections) over images.

    Args:
        truths: one per image.
        detections: one per image, in the same order.
        classes: names in label order.

    Raises:
        ValueError: the truth has no box at all, so there is nothing to measure.
    """
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, (truth, detected) in enumerate(zip(truths, detections, strict=True), start=1):
        for box, label in zip(truth.boxes, truth.labels, strict=True):
            entry = _entry(image, box, label)
            area = entry["bbox"][2] * entry["bbox"][3]
            annotations.append({**entry, "id": len(annotations) + 1, "area": area, "iscrowd": 0})
        for box, label, score in zip(detected.boxes, detected.labels, detected.scores, strict=True):
            found.append({**_entry(image, box, label), "score": float(score)})
    if not annotations:
        raise ValueError("there is no true box, so average precision is undefined")
    table = np.zeros((2, len(classes)))
    if found:
        table = _per_class(len(truths), annotations, found, len(classes))
    counts = np.bincount([entry["category_id"] - 1 for entry in annotations], minlength=len(classes))
    table[:, counts == 0] = np.nan
    return AveragePrecision(
        map50=float(np.nanmean(table[0])),
        map50_95=float(np.nanmean(table[1])),
        classes=tuple(
            ClassPrecision(name, int(count), float(ap50), float(ap))
            for name, count, ap50, ap in zip(classes, counts, table[0], table[1], strict=True)
        ),
    )


def _entry(image: int, box: npt.NDArray[np.float64], label: np.int64) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(v) for v in box)
    return {"image_id": image, "category_id": int(label) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}


def _per_class(
    images: int, annotations: list[dict[str, Any]], found: list[dict[str, Any]], classes: int
) -> npt.NDArray[np.float64]:
    """(2, classes): AP at IoU 0.5 and at 0.50–0.95."""
    truth = COCO(
        {
            "images": [{"id": image, "width": 0, "height": 0} for image in range(1, images + 1)],
            "annotations": annotations,
            "categories": [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
        }
    )
    evaluation = COCOeval_faster(truth, truth.loadRes(found), "bbox", print_function=_quiet)
    evaluation.params.maxDets = [1, 10, MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, -1]  # IoU, recall, class; all areas
    return np.stack([precision[0].mean(axis=0), precision.mean(axis=(0, 1))])


def _quiet(*_: object) -> None:
    """The library reports its own progress; ours is shown elsewhere."""
