"""Pseudo-boxes from stored maps, Parquet to Parquet, on a local Ray with two CPUs."""

import tempfile
import time
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pyarrow as pa

from benchmarks.registry import Row, at_least
from cluster.on_ray import RaySection, ray_session, start_ray
from cluster.storage import Storage
from pipelines.boxes import SORTED, PseudoBoxSettings, find_boxes
from pipelines.maps import map_schema
from pipelines.tables import ROWS_PER_FILE

IMAGES, GRID, SIDE = 10_048, 27, 640
WARM_UP = 1_024


def run() -> Iterator[Row]:
    """Maps a second of both passes together; Ray's start and its first workers are not in it."""
    with tempfile.TemporaryDirectory() as folder, ray_session(RaySection(cpus=2)):
        storage = Storage.open(folder)
        write_maps(storage.at("warm"), WARM_UP)
        write_maps(storage.at("maps"), IMAGES)
        start_ray()
        settings = PseudoBoxSettings()
        find_boxes(storage.at("warm"), [], settings, storage.at("warm-work"), images=WARM_UP)
        start = time.monotonic()
        find_boxes(storage.at("maps"), [], settings, storage.at("work"), images=IMAGES)
        seconds = time.monotonic() - start
        boxes = sum(len(row) for row in storage.at("work").read_table(SORTED).column("boxes").to_pylist())
    yield Row("boxes an image", boxes / IMAGES)
    yield at_least(f"maps/s, {GRID}×{GRID} maps of {SIDE}×{SIDE} images, 2 CPUs", IMAGES / seconds, 1_000)


def write_maps(target: Storage, count: int, pictures: Sequence[str] = ()) -> None:
    """A maps table of smooth random maps, half of them with a blob.

    Args:
        target: directory of its files.
        count: the number of images.
        pictures: files that the rows name in turn; without any, files that there are not.
    """
    rng = np.random.default_rng(count)
    schema = map_schema(GRID)
    for start in range(0, count, ROWS_PER_FILE):
        size = min(ROWS_PER_FILE, count - start)
        maps = np.stack([_map(rng, (start + n) % 2 == 0) for n in range(size)])
        columns = {
            "image_id": [f"{start + n:032x}" for n in range(size)],
            "uri": [
                pictures[(start + n) % len(pictures)] if pictures else f"/nowhere/{start + n}.png"
                for n in range(size)
            ],
            "category": [f"category_{(start + n) % 5}" for n in range(size)],
            "width": [SIDE] * size,
            "height": [SIDE] * size,
            "score": maps.reshape(size, -1).max(1).astype(np.float64) * 1.5,
            "map_max": maps.reshape(size, -1).max(1).astype(np.float64),
            "map": pa.FixedShapeTensorArray.from_numpy_ndarray(maps.astype(np.float16)),
        }
        table = pa.table([columns[name] for name in schema.names], schema=schema)
        target.write_table(f"part-{start:06d}.parquet", table)


def _map(rng: np.random.Generator, blob: bool) -> np.ndarray:
    smooth = cv2.GaussianBlur(rng.random((GRID, GRID), dtype=np.float32), (0, 0), 2) * 0.6
    if blob:
        x, y = (int(value) for value in rng.integers(3, GRID - 3, 2))
        cv2.circle(smooth, (x, y), int(rng.integers(1, 4)), 1.2, -1)
    return np.asarray(cv2.GaussianBlur(smooth, (0, 0), 0.7))
