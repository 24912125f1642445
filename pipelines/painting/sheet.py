"""A sheet of painted images with their boxes, to look at before a training of hours."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from cluster.storage import Storage
from pipelines.images import decode_image
from pipelines.tables import box_array

SHEET_FILE = "sheet.png"
TILES, COLUMNS, SIDE, GAP = 16, 4, 320, 6  # pictures, in a line, pixels of one, pixels between
GROUND, FRAME, DRAWN = (24, 24, 24), (255, 60, 60), (70, 220, 90)
NONE = np.zeros((0, 4))


def painted_sheet(
    rows: Sequence[Mapping[str, Any]],
    directory: Storage,
    drawn: Mapping[str, np.ndarray[Any, np.dtype[np.float64]]] | None = None,
) -> bytes | None:
    """The first painted images with their boxes, as a PNG; None where nothing was painted.

    Args:
        rows: rows of `PAINTED`, by image id, which is a fixed random order.
        directory: the paint stage's directory.
        drawn: (N, 4) boxes of a rule by image id, shown in green; None shows none.
    """
    chosen = [row for row in rows if row["painted"] is not None][:TILES]
    if not chosen:
        return None
    lines, step = -(-len(chosen) // COLUMNS), SIDE + GAP
    sheet = Image.new("RGB", (min(len(chosen), COLUMNS) * step - GAP, lines * step - GAP), GROUND)
    for place, row in enumerate(chosen):
        others = NONE if drawn is None else drawn.get(row["image_id"], NONE)
        tile = _tile(directory.read(row["painted"]), box_array(row["boxes"]), others)
        left, top = place % COLUMNS * step, place // COLUMNS * step
        sheet.paste(tile, (left + (SIDE - tile.width) // 2, top + (SIDE - tile.height) // 2))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _tile(
    data: bytes,
    boxes: np.ndarray[Any, np.dtype[np.float64]],
    drawn: np.ndarray[Any, np.dtype[np.float64]],
) -> Image.Image:
    image = Image.fromarray(decode_image(data))
    scale = SIDE / max(image.size)
    tile = image.resize([max(1, round(side * scale)) for side in image.size])
    draw = ImageDraw.Draw(tile)
    for sides, colour in ((drawn, DRAWN), (boxes, FRAME)):
        for x0, y0, x1, y1 in sides * scale:
            # A pixel outside, so that the frame hides nothing of what was painted.
            draw.rectangle((round(x0) - 1, round(y0) - 1, round(x1), round(y1)), outline=colour)
    return tile
