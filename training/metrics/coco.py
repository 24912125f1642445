"""COCO average precision from plain arrays (faster-coco-eval does the sums)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as coco_mask

Curve = npt.NDArray[np.float64]
Runs = Mapping[str, Any]

MAX_DETECTIONS = 100  # per image and class, as the COCO protocol has it


@dataclass(frozen=True)
class TrueObjects:
    """What is in one image.

    Attributes:
        boxes: (N, 4) x0 y0 x1 y1, pixels; N = 0 for a background, where every detection is false.
        labels: (N,) int64.
        masks: each object's mask as COCO's run lengths (`size`, `counts`); None measures boxes.
        ignored: (N,) bool, which of them are regions and no objects (COCO's crowds): none need be found, and
            detections on them, by the share of the detection that lies there, are neither right nor wrong.
            None where all are objects.
    """

    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    masks: Sequence[Runs] | None = None
    ignored: npt.NDArray[np.bool_] | None = None

    @property
    def objects(self) -> npt.NDArray[np.bool_]:
        """(N,) bool, which are objects."""
        return np.ones(len(self.labels), np.bool_) if self.ignored is None else ~self.ignored


@dataclass(frozen=True)
class Detections:
    """A detector's boxes in one image.

    Attributes:
        boxes: (N, 4) x0 y0 x1 y1, in the same pixels as the truth's.
        scores: (N,) in any order.
        labels: (N,) int64.
        masks: run lengths as in the truth.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    masks: Sequence[Runs] | None = None


@dataclass(frozen=True)
class Scores:
    """Average precision and recall in [0, 1]; NaN where the truth has no object to measure on.

    Attributes:
        map50, map75: AP at IoU 0.5 and 0.75.
        map50_95: mean over IoU 0.50, 0.55 … 0.95.
        small, medium, large: `map50_95` of true boxes below 32², between, and above 96² square pixels.
        recall: largest recall within 100 detections an image, mean over IoU 0.50 … 0.95 (COCO's AR@100).
    """

    map50: float
    map75: float
    map50_95: float
    small: float
    medium: float
    large: float
    recall: float


@dataclass(frozen=True)
class ClassPrecision(Scores):
    """One class.

    Attributes:
        name: the class' name.
        boxes: number of true boxes.
        precision: (101,) at IoU 0.5 and recall 0, 0.01 … 1, never rising; NaN without a true box.
        threshold: (101,) least score at which detections reach that recall; 0 where none do.
    """

    name: str
    boxes: int
    precision: Curve
    threshold: Curve


@dataclass(frozen=True)
class AveragePrecision(Scores):
    """Means over the classes that the truth has, and every class."""

    classes: tuple[ClassPrecision, ...]


def true_objects(
    boxes: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    ignored: npt.NDArray[np.float64],
    ignored_labels: npt.NDArray[np.int64],
) -> TrueObjects:
    """Objects, and after them the ignored regions.

    Args:
        boxes, labels: (N, 4) and (N,) of the objects.
        ignored, ignored_labels: (M, 4) and (M,) of the regions.
    """
    return TrueObjects(
        np.concatenate([boxes, ignored]),
        np.concatenate([labels, ignored_labels]),
        ignored=np.arange(len(labels) + len(ignored_labels)) >= len(labels),
    )


def average_precision(
    truths: Sequence[TrueObjects],
    detections: Sequence[Detections],
    classes: Sequence[str],
    *,
    masks: bool = False,
) -> AveragePrecision:
    """The COCO protocol (101 recall points, 100 detections an image) over images.

    Args:
        truths: one per image.
        detections: one per image, in the same order.
        classes: names in label order.
        masks: whether overlap and area are those of masks instead of boxes.

    Raises:
        ValueError: the truth has no object at all, so there is nothing to measure.
    """
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (truth, detected) in enumerate(zip(truths, detections, strict=True), start=1):
        rows = zip(truth.boxes, truth.labels, truth.objects.tolist(), strict=True)
        for place, (box, label, single) in enumerate(rows):
            entry = {**_entry(image, box, label), "iscrowd": int(not single)}
            area = entry["bbox"][2] * entry["bbox"][3]
            if masks:
                entry["segmentation"] = _runs(truth.masks, place)
                area = float(coco_mask.area(entry["segmentation"]))
            annotations.append({**entry, "id": len(annotations) + 1, "area": area})
        for place, (box, label, score) in enumerate(
            zip(detected.boxes, detected.labels, detected.scores, strict=True)
        ):
            entry = {**_entry(image, box, label), "score": float(score)}
            if masks:  # the library takes either, and would measure the box if given one
                entry = {**entry, "segmentation": _runs(detected.masks, place)}
                del entry["bbox"]
            results.append(entry)
    objects = [entry for entry in annotations if not entry["iscrowd"]]
    if not objects:
        raise ValueError("there is no true box, so average precision is undefined")
    evaluated = _evaluated(len(truths), annotations, results, len(classes), "segm" if masks else "bbox")
    # Axes: IoU, recall, class, area range, detections; −1 marks a class without a true box in the range.
    precision, recall, scores = (
        np.where(np.asarray(evaluated[name]) < 0, np.nan, evaluated[name])[..., -1]
        for name in ("precision", "recall", "scores")
    )
    counts = np.bincount([entry["category_id"] - 1 for entry in objects], minlength=len(classes))
    per_class = [_scores(precision[:, :, number], recall[:, number]) for number in range(len(classes))]
    return AveragePrecision(
        **{name: _mean(row[name] for row in per_class) for name in per_class[0]},
        classes=tuple(
            ClassPrecision(
                **row,
                name=name,
                boxes=int(counts[number]),
                precision=precision[0, :, number, 0],
                threshold=scores[0, :, number, 0],
            )
            for number, (name, row) in enumerate(zip(classes, per_class, strict=True))
        ),
    )


def _scores(precision: Curve, recall: Curve) -> dict[str, float]:
    """One class' figures; an area range's entries are all numbers or all NaN.

    Args:
        precision: (IoU, recall, area range).
        recall: (IoU, area range).
    """
    every, small, medium, large = precision.mean(axis=(0, 1)).tolist()
    return {
        "map50": float(precision[0, :, 0].mean()),
        "map75": float(precision[5, :, 0].mean()),
        "map50_95": every,
        "small": small,
        "medium": medium,
        "large": large,
        "recall": float(recall[:, 0].mean()),
    }


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _entry(image: int, box: npt.NDArray[np.float64], label: np.int64) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(v) for v in box)
    return {"image_id": image, "category_id": int(label) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}


def _runs(masks: Sequence[Runs] | None, place: int) -> Runs:
    if masks is None:
        raise ValueError("mask AP needs the masks of every box")
    return masks[place]


def _evaluated(
    images: int, annotations: list[dict[str, Any]], results: list[dict[str, Any]], classes: int, kind: str
) -> Mapping[str, Any]:
    """The library's arrays."""
    truth = COCO(
        {
            "images": [{"id": image, "width": 0, "height": 0} for image in range(1, images + 1)],
            "annotations": annotations,
            "categories": [{"id": number, "name": str(number)} for number in range(1, classes + 1)],
        }
    )
    evaluation = COCOeval_faster(truth, truth.loadRes(results), kind, print_function=_quiet)
    evaluation.params.maxDets = [1, 10, MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    arrays: Mapping[str, Any] = evaluation.eval
    return arrays


def _quiet(*_: object) -> None:
    """The library reports its own progress; ours is shown elsewhere."""
