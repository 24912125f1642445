"""`tune thresholds` on 1,000 stored maps with masks: how many trials, how near a full grid's best."""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pyarrow as pa

from benchmarks.registry import Row, at_least
from cluster.storage import Storage
from pipelines.annotations import encode_mask
from pipelines.boxes import PseudoBoxSettings
from pipelines.maps import map_schema, upsample
from pipelines.tables import LABELS, MANIFEST
from tuning.space import Dimension
from tuning.thresholds import MASK_IOU, ThresholdObjective, default_space, read_stored_maps
from tuning.thresholds.search import search

IMAGES, GRID, SIDE, CATEGORIES = 1_000, 27, 480, 5
TRIALS, MINUTES = 300, 2
# Of the default space, what a full grid can afford.
COARSE = {"boxes.c": 25, "boxes.delta": 11, "boxes.top_k": 4, "boxes.nms_iou": 1, "boxes.min_area": 5}


def run() -> Iterator[Row]:
    """Reading the tables is in it; the grid is measured on what the search has not warmed."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        corpus, maps = Storage.open(f"{folder}/corpus"), Storage.open(f"{folder}/maps")
        write_artifacts(corpus, maps, IMAGES, side=SIDE, seed=1)
        start = time.monotonic()
        categories, _ = read_stored_maps(corpus, maps)
        space = default_space(categories, PseudoBoxSettings())
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:

            def objective() -> ThresholdObjective:
                return ThresholdObjective(
                    categories, PseudoBoxSettings(), MASK_IOU, score_share=1.0, few_weight=0.5, pool=pool
                )

            trials = search(objective(), space, trials=TRIALS, seed=0)
            seconds = time.monotonic() - start
            best = max(trial.value for trial in trials)
            whole = search(objective(), coarse(space), trials=0, seed=0, exhaustive=True)
    yield Row("seconds for them, tables read", seconds)
    yield at_least(
        f"trials in {MINUTES} minutes at this pace, {IMAGES} maps of {SIDE}×{SIDE}",
        len(trials) / seconds * 60 * MINUTES,
        300,
    )
    yield Row(f"best mask IoU of {len(trials)} trials", best)
    yield Row(f"best mask IoU of a grid of {len(whole):,}", max(trial.value for trial in whole))
    yield at_least("the search's best above the grid's", best - max(trial.value for trial in whole), -0.005)


def coarse(space: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
    """A sub-grid of a space."""
    thinned = []
    for dimension in space:
        points = dimension.points()
        step = max(1, len(points) // COARSE[dimension.key])
        thinned.append(Dimension(dimension.key, tuple(points[::step])))
    return tuple(thinned)


def write_artifacts(corpus: Storage, maps: Storage, count: int, *, side: int, seed: int) -> None:
    """Artifacts of images with masks: maps that show defects blurred, shifted and among distractions.

    Half of the images have defects; categories differ in level, as encoders' maps do. The first image of each
    category is its reference, every seventh is held out.

    Args:
        corpus, maps: the folders for the tables.
        count: the number of images.
        side: an image's side in pixels.
        seed: the random seed of everything.
    """
    rng = np.random.default_rng(seed)
    manifest, labels, rows, stack = [], [], [], []
    for number in range(count):
        category, defective = number % CATEGORIES, number >= CATEGORIES and number % 2 == 0
        identity = {
            "image_id": f"{number:032x}",
            "uri": f"/nowhere/{number}.png",
            "category": f"category_{category}",
        }
        size = {"width": side, "height": side}
        mask, grid_map = picture(rng, side, defective, level=0.1 * category)
        split = "test" if number >= CATEGORIES and number % 7 == 6 else "train"
        role = "reference" if number < CATEGORIES else "train"
        manifest.append({**identity, **size, "split": split, "role": role})
        x, y, w, h = cv2.boundingRect(mask)
        box = {"x0": float(x), "y0": float(y), "x1": float(x + w), "y1": float(y + h), "label": "defect"}
        labels.append(
            {
                "image_id": identity["image_id"],
                "boxes": [box] if defective else [],
                "mask": encode_mask(mask > 0) if defective else None,
            }
        )
        peak = float(grid_map.max())
        rows.append({**identity, **size, "score": peak + rng.normal(0.5, 0.05), "map_max": peak})
        stack.append(grid_map)
    corpus.write_table("manifest", pa.Table.from_pylist(manifest, schema=MANIFEST))
    corpus.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    schema = map_schema(GRID)
    table = pa.Table.from_pylist(rows).append_column(
        "map", pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(stack))
    )
    maps.write_table("maps/part-0.parquet", table.select(schema.names))


def picture(
    rng: np.random.Generator, side: int, defective: bool, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """A mask (uint8, 0 or 1) and a float16 map that shows it poorly."""
    mask = np.zeros((side, side), np.uint8)
    if defective:
        centre = tuple(int(v) for v in rng.integers(side // 5, side - side // 5, 2))
        axes = tuple(int(v) for v in rng.integers(side // 20, side // 6, 2))
        cv2.ellipse(mask, centre, axes, float(rng.integers(0, 180)), 0, 360, 1, -1)
    defect = cv2.resize(mask.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    defect = cv2.GaussianBlur(np.roll(defect, rng.integers(-1, 2, 2), (0, 1)), (0, 0), 1.2)
    texture = upsample(rng.random((7, 7), dtype=np.float32), GRID, GRID)
    speckle = (rng.random((GRID, GRID)) > 0.995).astype(np.float32) * rng.uniform(0.2, 0.6)
    strength = rng.uniform(0.4, 1.0)
    return mask, (level + 0.25 * texture + speckle + strength * defect).astype(np.float16)
