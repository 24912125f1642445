"""What a report shows: plain values and arrays, gathered by the report stage, rendered by `report`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.pictures import Corners, Picture


@dataclass(frozen=True)
class StageRow:
    """One stage: the seconds it took, whether this command reused it, and its figures."""

    name: str
    seconds: float
    reused: bool
    counts: Mapping[str, Any]


@dataclass(frozen=True)
class GalleryItem:
    """One image with what KeAD and the pseudo-boxes made of it.

    Attributes:
        category, name: the image's category, and the name that people know it by.
        image: the pixels, any size.
        anomaly_map: float map at the image's size.
        mask: bool ground truth at the image's size; None where there is none.
        boxes: pseudo-boxes with their scores.
        score: the image score A.
        threshold: the category's T_c.
        defective: the ground truth; None where unknown.
    """

    category: str
    name: str
    image: Picture
    anomaly_map: npt.NDArray[np.floating[Any]]
    mask: npt.NDArray[np.bool_] | None
    boxes: Sequence[tuple[Corners, float]]
    score: float
    threshold: float
    defective: bool | None


@dataclass(frozen=True)
class ThresholdRow:
    """A category's statistics: images, mean of max M, threshold T_c."""

    category: str
    images: int
    mean_max: float
    threshold: float


@dataclass(frozen=True)
class AuditRow:
    """A rule of boxes on painted defects; shares of 1, None where nothing defines them.

    Attributes:
        category: the category's name.
        settings: the rule and its settings in words.
        chosen, own: whether the boxes are made by it, and whether it is the configured one.
        precision, recall, f1, iou: its figures.
        low, high: 95 % interval of F1.
    """

    category: str
    settings: str
    chosen: bool
    own: bool
    precision: float | None
    recall: float | None
    f1: float | None
    iou: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class CategoryScores:
    """Image scores A of a category by ground truth, and δ, below which an image counts as normal."""

    category: str
    normal: Sequence[float]
    defective: Sequence[float]
    delta: float


@dataclass(frozen=True)
class MapQuality:
    """How well anomaly maps detect held-out defects; `shots` is references per category, 0 zero-shot.

    `verdicts` are sentences that say where that is no better than chance.
    """

    shots: int
    image_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None
    verdicts: Sequence[str] = ()


@dataclass(frozen=True)
class TrainingCurve:
    """One training's history: rows of `epoch` and named losses and metrics, each on its own scale."""

    name: str
    rows: Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class DetectorFigures:
    """What one evaluation measured besides the two APs.

    Attributes:
        buckets: AP@0.5:0.95 of small, medium and large boxes and the like, by name; None without such a box.
        curves: precision at 101 recalls (IoU 0.5) by class.
        map50: AP@0.5 by class.
        names: classes of the confusion matrix, the background last.
        confusion: (names, names) counts, row the true class, column the found one.
        cost: one image's cost: `parameters`, `gflops`, `fps`, `peak_memory_mib`, `device`.
    """

    buckets: Mapping[str, float | None]
    curves: Mapping[str, Sequence[float]]
    map50: Mapping[str, float]
    names: Sequence[str]
    confusion: Sequence[Sequence[int]]
    cost: Mapping[str, Any]


@dataclass(frozen=True)
class StartRow:
    """A detector finetuned from one start, measured on held-out images.

    Attributes:
        start: `scratch`, `agbp`, `agssp` or the name of given weights.
        map50, map50_95: COCO AP, 0–1.
        classes: AP@0.5:0.95 by class; None for a class without a box in the test split.
        transferred: share of the detector's weights that the start filled, 0–1; None from scratch.
        seconds: time that the finetuning took.
        figures: the evaluation's other figures; None leaves them out.
    """

    start: str
    map50: float
    map50_95: float
    classes: Mapping[str, float | None]
    transferred: float | None
    seconds: float
    figures: DetectorFigures | None = None


@dataclass(frozen=True)
class Example:
    """A test image with one start's detections and the truth drawn in."""

    start: str
    name: str
    picture: Picture


@dataclass(frozen=True)
class Cases:
    """Test images that pretraining helps most and those that it harms most, drawn.

    Attributes:
        before, after: names of the starts without and with pretraining.
        good, bad: numbers of images shown.
        features: whether the detectors' backbones could be shown.
        picture: (H, W, 3) uint8 RGB; None where both starts are equally good on every image.
    """

    before: str
    after: str
    good: int
    bad: int
    features: bool
    picture: Picture | None


@dataclass(frozen=True)
class QuarantineRow:
    """An image that was left out, the stage that did so, and why."""

    uri: str
    stage: str
    reason: str


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the model registry, its lineage, and what must be said of it."""

    name: str
    version: int
    alias: str
    lineage: Mapping[str, str]
    verdicts: Sequence[str] = ()


@dataclass(frozen=True)
class ReportData:
    """All parts of a report; a part that is empty or None is left out, and the report says so.

    Attributes:
        title: the project's name.
        created: time in ISO 8601, shown as it is.
        workspace: the workspace's URI.
        config: the project's config, JSON-able.
        held_out: labelled test images that the starts were measured on.
        test_boxes: true boxes in them; None where unknown.
        lead: 95 % interval of (best other start - scratch) by mAP@0.5:0.95, shares of 1; None where unknown.
        audit: rules of boxes on painted defects, by category, the best first.
        gallery: images in the order shown, grouped by category.
        painted: picture of images with painted defects, as the detector's pretraining learns them.
        attention: picture of the backbone's attention before and after, see `attention_pictures`.
        cases: None where no two starts were finetuned.
        quarantined: number of all images left out; `quarantine` may hold only the first.
    """

    title: str
    created: str
    workspace: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    stages: Sequence[StageRow] = ()
    gallery: Sequence[GalleryItem] = ()
    thresholds: Sequence[ThresholdRow] = ()
    audit: Sequence[AuditRow] = ()
    scores: Sequence[CategoryScores] = ()
    map_quality: Sequence[MapQuality] = ()
    curves: Sequence[TrainingCurve] = ()
    starts: Sequence[StartRow] = ()
    held_out: int | None = None
    test_boxes: int | None = None
    lead: tuple[float, float] | None = None
    examples: Sequence[Example] = ()
    cases: Cases | None = None
    quarantine: Sequence[QuarantineRow] = ()
    quarantined: int = 0
    model: RegisteredModel | None = None
    painted: Picture | None = None
    attention: Picture | None = None
