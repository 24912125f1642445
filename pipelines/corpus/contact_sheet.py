"""Contact sheets: a category's images at a glance, a sample of them on one PNG."""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipelines.images import ImageError, Levels, read_image
from pipelines.tables import REFERENCE

TILES = 40  # images on a sheet, whatever the size of the category
SHEETS = 100  # categories that get one
COLUMNS = 8
SIDE = 120  # pixels of a tile
FRAME = 5  # pixels of a reference's border, within its tile
GAP = 4
CAPTION = 46
MARGIN = 8
REFERENCE_COLOUR = (255, 176, 0)
GROUND, INK, MISSING = (24, 24, 24), (235, 235, 235), (120, 30, 30)


def sheet_name(category: str) -> str:
    """A file name for any category: letters, digits, `-` and `_`, different for different categories.

    A hash is appended to a name with other characters, or with capitals, which a file system might confuse.
    """
    plain = re.sub(r"[^a-z0-9_-]+", "_", category.lower())[:80]
    if plain == category:
        return f"{plain}.png"
    return f"{plain}-{hashlib.sha256(category.encode(errors='surrogatepass')).hexdigest()[:12]}.png"


def sample(rows: Sequence[Mapping[str, Any]], most: int = TILES) -> list[Mapping[str, Any]]:
    """The images shown: references first, then the others by content hash, which is a fixed random order.

    Args:
        rows: images of one category: image_id, role.
        most: images shown at most.
    """
    return sorted(rows, key=lambda row: (row["role"] != REFERENCE, row["image_id"]))[:most]


def contact_sheets(
    rows: Sequence[Mapping[str, Any]], statistics: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, bytes]]:
    """File name and PNG of each category's sheet, for the first `SHEETS` categories; references are framed.

    Args:
        rows: usable images: image_id, category, role, uri, levels.
        statistics: rows of `category_statistics`.
    """
    categories = {row["category"] for row in statistics[:SHEETS]}
    by_category: dict[str, list[Mapping[str, Any]]] = {category: [] for category in categories}
    for row in rows:
        if row["category"] in categories:
            by_category[row["category"]].append(row)
    for figures in statistics[:SHEETS]:
        chosen = sample(by_category[figures["category"]])
        yield sheet_name(figures["category"]), _encoded(_sheet(chosen, _caption(figures, len(chosen))))


def _caption(figures: Mapping[str, Any], count: int) -> str:
    splits = ", ".join(
        f"{name} {figures[name]}" for name in ("train", "test", "unlabelled", "references", "quarantined")
    )
    name = "".join(letter if letter.isprintable() else "?" for letter in figures["category"])
    name = name if len(name) <= 80 else f"{name[:79]}…"
    return f"{name}\n{figures['images']} images ({splits}); {count} shown"


def _sheet(chosen: Sequence[Mapping[str, Any]], caption: str) -> Image.Image:
    lines = max(1, -(-len(chosen) // COLUMNS))
    step = SIDE + GAP
    size = (2 * MARGIN + COLUMNS * step - GAP, 2 * MARGIN + CAPTION + lines * step - GAP)
    sheet = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), caption, fill=INK, font=ImageFont.load_default(15))
    for place, row in enumerate(chosen):
        left = MARGIN + place % COLUMNS * step
        top = MARGIN + CAPTION + place // COLUMNS * step
        tile = _tile(str(row["uri"]), row["levels"])
        middle = left + (SIDE - tile.width) // 2, top + (SIDE - tile.height) // 2
        if row["role"] == REFERENCE:
            draw.rectangle(
                (left, top, left + SIDE - 1, top + SIDE - 1), outline=REFERENCE_COLOUR, width=FRAME
            )
        sheet.paste(tile, middle)
    return sheet


def _tile(uri: str, levels: Levels | None) -> Image.Image:
    """The image at the size of the frame's inside; a red tile when it can't be read any more."""
    inside = SIDE - 2 * FRAME
    try:
        image = Image.fromarray(np.asarray(read_image(uri, levels)))
    except ImageError:
        return Image.new("RGB", (inside, inside), MISSING)
    image.thumbnail((inside, inside), reducing_gap=2.0)
    return image


def _encoded(sheet: Image.Image) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
