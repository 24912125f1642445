"""The maps table: settings, rows and the per-batch work around KeAD or WinCLIP. No Ray here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from cluster.errors import UserError
from pipelines.images import ImageError, ImageSource, Levels, named_pixels, read_image
from pipelines.maps.method import CategoryState, MapMethod, plain_state, preprocess
from pipelines.maps.resources import images_at_once
from pipelines.maps.section import MapsSection
from pipelines.maps.tiling import tiled_state
from pipelines.tables import IDENTITY, SIZE

PARTS = ("map_zero", "map_few")


def map_schema(grid: int, parts: bool = False) -> pa.Schema:
    """Schema of the maps table; `map` is M (float16) on the patch grid, readable with plain pyarrow.

    Args:
        grid: patches along a map's side.
        parts: whether to add the columns `PARTS`, M_zero and M_few, like `map`.
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
    """Read and resize each row's image; an unreadable one gets an `error` instead.

    Args:
        rows: rows with a `uri`; where they have `levels`, images of more than 8 bits are scaled by them.
        size: side of the encoder's input in pixels.

    Returns:
        The rows with `error`, null or why the image can't be read, and `pixels`, uint8 (3, size, size), black
        where there is an error.
    """
    errors: list[str | None] = []
    images: list[npt.NDArray[np.uint8]] = []
    black = np.zeros((3, size, size), np.uint8)
    uris = rows.column("uri").to_pylist()
    scaled = rows.column("levels").to_pylist() if "levels" in rows.column_names else [None] * len(uris)
    for uri, levels in zip(uris, scaled, strict=True):
        error, pixels = None, black
        try:
            pixels = preprocess(read_image(uri, levels), size)
        except ImageError as unreadable:
            error = str(unreadable)
        errors.append(error)
        images.append(pixels)
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(images or [black]))
    decoded = rows.append_column("error", pa.array(errors, pa.string()))
    return decoded.append_column("pixels", tensor[: len(images)])


def readable_rows(rows: pa.Table) -> pa.Table:
    """The rows of `decode_rows` whose image could be read, without `error`."""
    places = [place for place, error in enumerate(rows.column("error").to_pylist()) if error is None]
    return rows.drop_columns(["error"]).take(pa.array(places, pa.int64()))


def map_batch(
    method: MapMethod, states: Mapping[str, CategoryState], rows: pa.Table, parts: bool = False
) -> pa.Table:
    """Anomaly maps of readable decoded rows, in the schema of the maps table; `parts` as in `map_schema`."""
    schema = map_schema(method.grid, parts)
    if rows.num_rows == 0:
        return schema.empty_table()
    pixels = torch.from_numpy(rows.column("pixels").combine_chunks().to_numpy_ndarray().copy())
    names = zip(rows.column("category").to_pylist(), rows.column("image_id").to_pylist(), strict=True)
    out = method(pixels, [states[name].judging(image_id) for name, image_id in names])
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
    method: MapMethod,
    section: MapsSection,
    references: Mapping[str, Sequence[ImageSource]],
    levels: Mapping[str, Levels] | None = None,
) -> dict[str, CategoryState]:
    """Text embeddings and memory banks of every category, computed once.

    Args:
        method: result of `build_method(section, …)`.
        section: the stage's config.
        references: normal images by category (every category has a key): URIs, or (H, W, 3) uint8 RGB.
        levels: black and white by URI, of the references that don't take their own.

    Raises:
        UserError: a reference that can't be read.
        ValueError: pixels of another shape or type.
    """
    if not section.reads_text:
        return dict.fromkeys(references, plain_state())
    library = section.library()
    known = levels or {}
    states = {}
    for category, chosen in references.items():
        pixels = (
            _reference(image, f'reference {place} of "{category}"', known)
            for place, image in enumerate(chosen[: section.shots])
        )
        prompts = library.category(category)
        if section.tiles != "off":
            at_once = images_at_once(section, method)
            states[category] = tiled_state(method, prompts, pixels, section, at_once)
            continue
        images = [torch.from_numpy(method.preprocess(image)) for image in pixels]
        states[category] = method.category_state(prompts, torch.stack(images) if images else None)
    return states


def _reference(image: ImageSource, name: str, levels: Mapping[str, Levels]) -> npt.NDArray[np.uint8]:
    own = levels.get(str(image)) if isinstance(image, str | Path) else None
    try:
        return named_pixels(image, name, own)[1]
    except ImageError as error:
        raise UserError(f"A normal reference can't be read: {error}; restore it or choose another.") from None
