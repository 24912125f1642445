"""A corpus whose images have maps of grids of their own, as tiled images have."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.storage.storage import Storage
from pipelines.annotations.rle import encode_mask
from pipelines.maps.tiled_rows import tiled_table
from pipelines.maps.tiling import TiledMap
from pipelines.tables.schemas import LABELS, MANIFEST

# Width, height, rows, columns: a strip, a tall plate, a square, a grid finer than a small training image.
SHAPES = (
    (300, 40, 3, 22),
    (50, 126, 13, 5),
    (64, 64, 4, 4),
    (700, 350, 45, 90),
    (40, 300, 31, 4),
    (64, 60, 4, 4),
)


def hot_place(number: int) -> tuple[int, int]:
    """Row and column of the cell in which image `number` has its defect."""
    _, _, rows, columns = SHAPES[number % len(SHAPES)]
    return rows // 2, (columns * 2) // 3


def tiled_maps_of(count: int) -> list[npt.NDArray[np.float16]]:
    """Low maps with one hot cell each; every third has none."""
    rng = np.random.default_rng(5)
    maps = []
    for number in range(count):
        grid = rng.uniform(0.1, 0.3, SHAPES[number % len(SHAPES)][2:]).astype(np.float16)
        if number % 3:
            grid[hot_place(number)] = 1.5
        maps.append(grid)
    return maps


def write_tiled(folder: Path, count: int = 12) -> tuple[Storage, list[npt.NDArray[np.float16]]]:
    """`manifest/`, `labels.parquet` (masks over the hot cells), `maps/` of two files and the images."""
    folder.mkdir(parents=True, exist_ok=True)
    storage = Storage.open(str(folder))
    maps = tiled_maps_of(count)
    rows, labels = [], []
    for number in range(count):
        width, height, down, across = SHAPES[number % len(SHAPES)]
        uri = str(folder / f"{number}.png")
        cv2.imwrite(uri, np.full((height, width, 3), 90 + number, np.uint8))
        row, column = hot_place(number)
        mask = np.zeros((height, width), np.bool_)
        x0, y0 = column * width // across, row * height // down
        x1, y1 = -(-(column + 1) * width // across), -(-(row + 1) * height // down)
        defective = bool(number % 3)
        mask[y0:y1, x0:x1] = defective
        box = {"x0": float(x0), "y0": float(y0), "x1": float(x1), "y1": float(y1), "label": "defect"}
        identity = {
            "image_id": f"{number:032x}",
            "uri": uri,
            "category": "rail",
            "width": width,
            "height": height,
        }
        rows.append(
            {**identity, "split": "test" if number % 4 == 3 else "train", "role": "train", "levels": None}
        )
        labels.append(
            {
                "image_id": identity["image_id"],
                "boxes": [box] if defective else [],
                "mask": encode_mask(mask),
                "ignored": [],
            }
        )
    storage.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows, schema=MANIFEST))
    storage.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    manifest = storage.read_table("manifest")
    half = count // 2
    made = [TiledMap(float(grid.max()) + 0.1, grid.astype(np.float32)) for grid in maps]
    storage.write_table("maps/part-0.parquet", tiled_table(manifest.slice(0, half), made[:half]))
    storage.write_table("maps/part-1.parquet", tiled_table(manifest.slice(half), made[half:]))
    return storage, maps
