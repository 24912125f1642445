"""A corpus of small textured images on disk, as the corpus stage leaves it, and a site to train heads at."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from pipelines.annotations.rle import encode_mask
from pipelines.tables.schemas import LABELS, MANIFEST
from tests.silent_tracking import SilentPipeline
from training.loop.section import ScalingSection
from training.loop.site import TrainingSite

SIDE = 96


def texture(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """(96, 96, 3) uint8: a fine grain around a mean of its own."""
    grain = cv2.GaussianBlur(rng.normal(0, 30, (SIDE, SIDE)), (0, 0), 1.5)
    grey = np.clip(rng.uniform(90, 160) + grain, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def tiny_corpus(folder: Path, images: int = 24) -> Artifact:
    """Textures, every second with a labelled dark square; the last four are held out and can't be read."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    (folder / "images").mkdir(parents=True)
    for number in range(images):
        image, mask = texture(rng), np.zeros((SIDE, SIDE), np.bool_)
        boxes: list[dict[str, Any]] = []
        if number % 2:
            x, y = (int(value) for value in rng.integers(8, 60, 2))
            image[y : y + 24, x : x + 24] //= 4
            mask[y : y + 24, x : x + 24] = True
            boxes = [{"x0": x, "y0": y, "x1": x + 24, "y1": y + 24, "label": "spot"}]
        held_out = number >= images - 4
        path = folder / "images" / f"{number}.png"
        if not held_out:
            cv2.imwrite(str(path), image)
        identity = {"image_id": f"{number:032x}", "uri": str(path), "category": "tile"}
        size = {"width": SIDE, "height": SIDE, "levels": None}
        split = "test" if held_out else "train"
        rows.append({**identity, **size, "split": split, "role": "train"})
        known = {"boxes": boxes, "mask": encode_mask(mask) if boxes else None, "ignored": []}
        labels.append({**identity, **size, "split": split, **known})
    storage = Storage.open(str(folder / "corpus"))
    storage.write_table("manifest/part-0.parquet", table_of(rows, MANIFEST))
    storage.write_table("labels.parquet", table_of(labels, LABELS))
    return Artifact("corpus", "c" * 32, storage, {"results": {}}, reused=True)


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema)


def tiny_site(folder: Path) -> TrainingSite:
    """A site below the folder, without a tracking server."""
    workspace = Storage.open(str(folder))
    workspace.create()
    pipeline = SilentPipeline(Tracker.open(TrackingSection(), workspace), "test", {})
    return TrainingSite(workspace, pipeline, ScalingSection())
