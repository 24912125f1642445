"""The maps table: settings, rows and the per-batch work around KeAD or WinCLIP. No Ray here."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from pipelines.images import ImageError, read_image
from pipelines.maps.method import CategoryState, MapMethod, preprocess
from pipelines.maps.section import MapsSection
from pipelines.tables import IDENTITY, SIZE

PARTS = ("map_zero", "map_few")


def map_schema(grid: int, parts: bool = False) -> pa.Schema:
    """Schema of the maps table; `map` is M (float16) on the patch grid, readable with plain pyarrow.

    Args:
        grid: patches along one side.
        parts: with the columns `PARTS` too, M_zero and M_few, like `map`.
    """
    tensor = pa.fixed_shape_tensor(pa.float16(), (grid, grid))
    return pa.schema(
        [
            *IDENTITY,
            *SIZE,
            ("score", pa.float64()),
            ("map_max", pa.float64()),
            ("map", tensor),
            *((name, tensor) for name in PARTS if parts),
        ]
    )


def decode_rows(rows: pa.Table, size: int) -> pa.Table:
    """Read and resize each row's image; rows whose image can't be read are left out.

    Args:
        rows: with `uri`.
        size: side of the encoder's input in pixels.

    Returns:
        The readable rows with `pixels`, uint8 (3, size, size).
    """
    good: list[int] = []
    images: list[npt.NDArray[np.uint8]] = []
    for index, uri in enumerate(rows.column("uri").to_pylist()):
        try:
            images.append(preprocess(read_image(uri), size))
        except ImageError:
            continue  # found missing, and its reason asked for again, when the stage ends
        good.append(index)
    stack = np.stack(images) if images else np.zeros((0, 3, size, size), np.uint8)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(stack) if images else _empty_pixels(size)
    return rows.take(pa.array(good, pa.int64())).append_column("pixels", column)


def _empty_pixels(size: int) -> pa.Array:
    kind = pa.fixed_shape_tensor(pa.uint8(), (3, size, size))
    return pa.ExtensionArray.from_storage(kind, pa.array([], kind.storage_type))


def map_batch(
    method: MapMethod, states: Mapping[str, CategoryState], rows: pa.Table, parts: bool = False
) -> pa.Table:
    """Anomaly maps of decoded rows, in the schema of the maps table; `parts` as in `map_schema`."""
    schema = map_schema(method.grid, parts)
    if rows.num_rows == 0:
        return schema.empty_table()
    pixels = torch.from_numpy(rows.column("pixels").combine_chunks().to_numpy_ndarray().copy())
    out = method(pixels, [states[name] for name in rows.column("category").to_pylist()])
    maps = out.maps.numpy().astype(np.float16)
    columns: dict[str, Any] = {name: rows.column(name) for name, _ in [*IDENTITY, *SIZE]}
    columns["score"] = pa.array(out.score.double().numpy())
    columns["map_max"] = pa.array(maps.reshape(len(maps), -1).max(1).astype(np.float64))
    columns["map"] = pa.FixedShapeTensorArray.from_numpy_ndarray(maps)
    if parts and out.parts is not None:
        for place, name in enumerate(PARTS):
            part = np.ascontiguousarray(out.parts[:, place].numpy().astype(np.float16))
            columns[name] = pa.FixedShapeTensorArray.from_numpy_ndarray(part)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def category_states(
    method: MapMethod, section: MapsSection, references: Mapping[str, list[str]]
) -> dict[str, CategoryState]:
    """Text embeddings and memory banks of every category, computed once.

    Args:
        method: `build_method(section, …)`.
        section: the stage's config.
        references: URIs of normal images by category (every category has a key).
    """
    library = section.library()
    states = {}
    for category, uris in references.items():
        images = [torch.from_numpy(method.preprocess(read_image(uri))) for uri in uris[: section.shots]]
        states[category] = method.category_state(
            library.category(category), torch.stack(images) if images else None
        )
    return states
