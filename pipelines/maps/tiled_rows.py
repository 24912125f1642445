"""Rows of the maps job where images are tiled: pixels for the encoder, maps of grids of their own."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.images import ImageError, read_image
from pipelines.maps.grids import GRID, grid_column
from pipelines.maps.job_steps import Decoding
from pipelines.maps.method import CategoryState, MapMethod
from pipelines.maps.rows import decode_rows, map_batch
from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput, TilePlan, tile_plan
from pipelines.maps.tile_section import TileSettings
from pipelines.maps.tiling import Pixels, TiledImage, TiledMap, encoder_input, tiled_maps
from pipelines.tables import IDENTITY, SIZE

BATCH_BYTES = 128 << 20  # pixels of a batch of rows between decoding and encoder
TILED_SCHEMA = pa.schema(
    [*IDENTITY, *SIZE, ("score", pa.float64()), ("map_max", pa.float64()), ("map", GRID)]
)


def rows_at_once(
    sizes: Sequence[tuple[int, int]], tiling: TileSettings, encoder: EncoderInput, most: int
) -> int:
    """Rows of a batch whose pixels stay below `BATCH_BYTES`, or one.

    Args:
        sizes: width and height of every image of the job.
        tiling: the settings.
        encoder: the encoder's input.
        most: most rows, at least 1.
    """
    seen = [tile_plan(width, height, tiling, encoder).seen for width, height in set(sizes)]
    largest = max((3 * width * height for width, height in seen), default=1)
    return max(1, min(most, BATCH_BYTES // largest))


def decode_tiled_rows(rows: pa.Table, tiling: TileSettings, encoder: EncoderInput) -> pa.Table:
    """Read each row's image and resize it for its tiles; an unreadable one gets an `error` instead.

    Args:
        rows: rows with a `uri`, and with `levels` as in `decode_rows`.
        tiling: how images are cut.
        encoder: the encoder's input.

    Returns:
        The rows with `error`, null or why the image can't be read; `pixels`, RGB bytes of the resized image,
        row by row; and `sides`, the image's own width and height in pixels, by which its tiles are planned.
    """
    errors: list[str | None] = []
    pixels: list[bytes] = []
    sides: list[tuple[int, int]] = []
    uris = rows.column("uri").to_pylist()
    levels = rows.column("levels").to_pylist() if "levels" in rows.column_names else [None] * len(uris)
    for uri, own in zip(uris, levels, strict=True):
        error, seen, size = None, b"", (0, 0)
        try:
            image = read_image(uri, own)
            size = image.shape[1], image.shape[0]
            seen = tile_plan(*size, tiling, encoder).resized(image).tobytes()
        except ImageError as unreadable:
            error = str(unreadable)
        errors.append(error)
        pixels.append(seen)
        sides.append(size)
    decoded = rows.append_column("error", pa.array(errors, pa.string()))
    decoded = decoded.append_column("pixels", pa.array(pixels, pa.large_binary()))
    return decoded.append_column("sides", pa.array(sides, pa.list_(pa.int32(), 2)))


def map_tiled_rows(
    method: MapMethod,
    states: Mapping[str, CategoryState],
    rows: pa.Table,
    tiling: TileSettings,
    at_once: int,
) -> pa.Table:
    """Maps of readable rows of `decode_tiled_rows`, in `TILED_SCHEMA`; `at_once` tiles a forward pass."""
    names = zip(rows.column("category").to_pylist(), rows.column("image_id").to_pylist(), strict=True)
    images = [
        TiledImage(pixels, plan, states[category].judging(image_id))
        for (pixels, plan), (category, image_id) in zip(cut_rows(method, rows, tiling), names, strict=True)
    ]
    return tiled_table(rows, tiled_maps(method, images, at_once, tiling.top_tiles))


def cut_rows(method: MapMethod, rows: pa.Table, tiling: TileSettings) -> Iterator[tuple[Pixels, TilePlan]]:
    """Pixels and tiles of readable rows of `decode_tiled_rows`, in their order."""
    for place, (width, height) in enumerate(rows.column("sides").to_pylist()):
        plan = tile_plan(width, height, tiling, encoder_input(method))
        # A view of the column's own memory: no copy of what may be 50 MB.
        flat = np.frombuffer(rows.column("pixels")[place].as_buffer(), np.uint8)
        across, down = plan.seen
        yield flat.reshape(down, across, 3), plan


def tiled_table(rows: pa.Table, maps: Sequence[TiledMap]) -> pa.Table:
    """Rows with identity and size, and their maps, as rows of the maps table."""
    stored: list[npt.NDArray[np.float16]] = [each.map.astype(np.float16) for each in maps]
    columns = {name: rows.column(name) for name, _ in [*IDENTITY, *SIZE]}
    columns["score"] = pa.array([each.score for each in maps], pa.float64())
    columns["map_max"] = pa.array([float(each.max()) for each in stored], pa.float64())
    columns["map"] = grid_column(stored)
    return pa.table([columns[name] for name in TILED_SCHEMA.names], schema=TILED_SCHEMA)


def decoding(
    section: MapsSection, sizes: Sequence[tuple[int, int]], images: int, encoder: EncoderInput
) -> Decoding:
    """How a job decodes its images: whole, or cut into tiles.

    Args:
        section: the stage's config.
        sizes: width and height of every image of the job.
        images: images of a forward pass.
        encoder: result of `input_of`.
    """
    if section.tiles == "off":
        return Decoding(decode_rows, {"size": encoder.size}, images)
    rows = rows_at_once(sizes, section, encoder, images)
    return Decoding(decode_tiled_rows, {"tiling": section, "encoder": encoder}, rows)


def map_rows_of(
    method: MapMethod,
    states: Mapping[str, CategoryState],
    rows: pa.Table,
    section: MapsSection,
    at_once: int,
) -> pa.Table:
    """Readable rows of the first step as rows of the maps table; `at_once` tiles a forward pass."""
    if section.tiles == "off":
        return map_batch(method, states, rows, section.store_parts)
    return map_tiled_rows(method, states, rows, section, at_once)
