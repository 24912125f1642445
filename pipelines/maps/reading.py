"""Anomaly maps read back: rows of the table, and a map at its image's size."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from cluster.stages import Artifact
from pipelines.maps.grids import map_grids


def map_rows(maps: Artifact) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.float32]]]:
    """Rows of the maps table, each with its map as float32 (rows, columns), file by file to save memory."""
    folder = maps.directory.at("maps")
    for name in folder.children():
        with folder.filesystem.open_input_file(f"{folder.path}/{name}") as file:
            table = pq.read_table(file)
        if table.num_rows == 0:
            continue
        yield from zip(table.drop_columns(["map"]).to_pylist(), map_grids(table), strict=True)


Floats = npt.NDArray[np.float32]


def upsample(anomaly_map: Floats, width: int, height: int) -> Floats:
    """Bilinear upsampling of a patch-grid map to (height, width), half-pixel centres."""
    return np.asarray(
        cv2.resize(anomaly_map.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR),
        np.float32,
    )
