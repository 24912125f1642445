"""A report's worth of synthetic arrays, for tests and for looking at."""

import cv2
import numpy as np

from training.pictures.drawing import DrawnBox, draw_boxes
from training.pictures.overlays import Picture
from training.report.data import (
    CategoryScores,
    DetectorFigures,
    Example,
    GalleryItem,
    MapQuality,
    QuarantineRow,
    RegisteredModel,
    ReportData,
    StageRow,
    StartRow,
    ThresholdRow,
    TrainingCurve,
)

CATEGORIES = ("brushed_steel", "magnetic_tile", "leather")


def surface(seed: int, side: int = 256) -> Picture:
    """A brushed surface: noise smeared along one axis."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), sigmaX=14, sigmaY=0.7)
    grey = 128 + 26 * noise / noise.std() + 12 * np.linspace(-1, 1, side)[None]
    tint = np.array([1.0, 0.97, 0.92])
    return np.asarray(np.clip(grey[..., None] * tint, 0, 255), dtype=np.uint8)


def item(category: str, seed: int, *, defective: bool) -> GalleryItem:
    """One image, with a dark blob where it is defective."""
    rng = np.random.default_rng(seed)
    image, side = surface(seed), 256
    mask = np.zeros((side, side), np.uint8)
    x, y = (int(v) for v in rng.integers(60, side - 60, 2))
    boxes = []
    if defective:
        cv2.ellipse(mask, (x, y), (34, 14), float(rng.integers(0, 180)), 0, 360, 1, -1)
        image[mask == 1] = image[mask == 1] // 3
        left, top, width, height = cv2.boundingRect(mask)
        boxes = [((left - 6.0, top - 6.0, left + width + 6.0, top + height + 6.0), 0.91)]
    heat = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 12)
    heat = (
        0.2
        + 0.55 * heat
        + 0.04 * cv2.GaussianBlur(rng.normal(0, 6, (side, side)).astype(np.float32), (0, 0), 14)
    )
    return GalleryItem(
        category=category,
        name=f"{category}/{seed:04d}.png",
        image=image,
        anomaly_map=heat,
        mask=mask.astype(bool) if seed % 5 else None,
        boxes=boxes,
        score=float(heat.max() + 0.3),
        threshold=0.45,
        defective=defective,
    )


def drawn(seed: int, score: float) -> Picture:
    """A test image with truth and a detection, as the report stage draws them."""
    example = item("brushed_steel", seed, defective=True)
    x0, y0, x1, y1 = example.boxes[0][0]
    truth = DrawnBox((x0, y0, x1, y1), "dent")
    found = DrawnBox((x0 - 8 * (1 - score), y0 + 5, x1 + 30 * (1 - score), y1 + 4), f"dent {score:.2f}")
    return draw_boxes(example.image, [truth], [found])


def start(
    name: str,
    map50: float,
    map50_95: float,
    classes: dict[str, float | None],
    transferred: float | None,
    seconds: float,
) -> StartRow:
    """A start with closer figures that go with its AP."""
    known = {label: min(1.0, ap * 1.7) for label, ap in classes.items() if ap is not None}
    recall = np.linspace(0, 1, 101)
    curves = {label: np.clip(1 - recall**4 / ap, 0, 1).tolist() for label, ap in known.items()}
    hits = [round(80 * ap) for ap in known.values()]
    confusion = [[hits[0], 6, 0, 74 - hits[0]], [4, hits[1], 1, 75 - hits[1]], [0, 0, 0, 0], [9, 12, 2, 0]]
    figures = DetectorFigures(
        buckets={"small": map50_95 - 0.1, "medium": map50_95, "large": None, "map75": 0.3, "recall": 0.5},
        curves=curves,
        map50=known,
        names=[*classes, "background"],
        confusion=confusion,
        cost={
            "parameters": 3_011_433,
            "gflops": 8.19,
            "fps": 21.7,
            "peak_memory_mib": 30.9,
            "device": "CPU, 2 threads",
        },
    )
    return StartRow(name, map50, map50_95, classes, transferred, seconds, figures)


def curve(name: str, epochs: int, metrics: bool) -> TrainingCurve:
    """A falling loss in parts, and a rising metric."""
    rng = np.random.default_rng(len(name))
    rows: list[dict[str, float | None]] = []
    for epoch in range(1, epochs + 1):
        fall = float(np.exp(-epoch / (epochs / 3)) + rng.normal(0, 0.015))
        row: dict[str, float | None] = {
            "epoch": epoch,
            "step": 10 * epoch,
            "lr": 1e-3,
            "seconds": 2.0 * epoch,
        }
        row |= {"loss": 4 * fall + 1, "loss_box": 2 * fall + 0.6, "loss_cls": 1.2 * fall + 0.2}
        if metrics:
            row |= {"map50": 0.8 * (1 - fall) if epoch % 2 else None, "map50_95": 0.5 * (1 - fall)}
        rows.append(row)
    return TrainingCurve(name, rows)


def demo_report() -> ReportData:
    """All parts filled."""
    rng = np.random.default_rng(7)
    gallery = [
        item(category, 10 * index + number, defective=number != 1)
        for index, category in enumerate(CATEGORIES)
        for number in range(3)
    ]
    shots = [
        Example(start, f"brushed_steel/{number:04d}.png", drawn(number, score))
        for number in (2, 3)
        for start, score in (("agssp", 0.93), ("agbp", 0.81), ("scratch", 0.44))
    ]
    return ReportData(
        title="surfaces",
        attention=np.tile(surface(9), (2, 5, 1)),
        created="2026-11-21T10:15:00+00:00",
        workspace="/data/projects/surfaces/workspace",
        config={
            "name": "surfaces",
            "maps": {"kead": {"shots": 4}},
            "tracking": {"uri": "postgresql://me:hush@db/x"},
        },
        versions={"python": "3.11.7", "torch": "2.15.0", "ray": "2.60.0", "ultralytics": "8.4.190"},
        stages=[
            StageRow("corpus", 2.4, True, {"images": 640, "categories": 3, "quarantined": 2}),
            StageRow("maps", 71.9, False, {"images": 640, "images_per_s": 8.9}),
            StageRow("boxes", 3.1, False, {"images": 640, "with_boxes": 402, "boxes": 611}),
            StageRow("backbone", 121.0, False, {"epochs": 10, "loss": 0.8231}),
            StageRow("detector", 178.3, False, {"epochs": 10, "map50": 0.61}),
            StageRow("finetune", 301.0, False, {"epochs": 40}),
        ],
        gallery=gallery,
        thresholds=[
            ThresholdRow(c, 200 + 7 * i, 0.55 + 0.03 * i, 0.45 + 0.03 * i) for i, c in enumerate(CATEGORIES)
        ],
        scores=[
            CategoryScores(c, list(rng.normal(0.5, 0.06, 160)), list(rng.normal(0.72, 0.1, 90)), 0.6)
            for c in CATEGORIES
        ],
        map_quality=[MapQuality(0, 0.873, 0.912, 0.741), MapQuality(4, 0.951, 0.968, None)],
        curves=[
            curve("backbone (AGBP)", 10, False),
            curve("detector (AGDP)", 10, True),
            curve("finetune from agssp", 40, True),
            curve("finetune from scratch", 40, True),
        ],
        starts=[
            start("scratch", 0.512, 0.287, {"scratch": 0.21, "dent": 0.364, "stain": None}, None, 96.0),
            start("agbp", 0.634, 0.369, {"scratch": 0.28, "dent": 0.458, "stain": None}, 0.411, 99.0),
            start("agssp", 0.701, 0.418, {"scratch": 0.33, "dent": 0.506, "stain": None}, 0.962, 97.0),
        ],
        held_out=96,
        lead=(0.06, 0.2),
        examples=shots,
        quarantine=[
            QuarantineRow("/data/photos/steel/IMG_0044.png", "corpus", "truncated file"),
            QuarantineRow("/data/photos/steel/notes.png", "corpus", "not an image"),
        ],
        quarantined=2,
        model=RegisteredModel(
            "surfaces-detector-yolov8n",
            3,
            "candidate",
            {"fingerprint": "9f2c" * 16, "corpus": "11ab" * 16, "maps": "77cd" * 16, "code_version": "0.1.0"},
        ),
    )
