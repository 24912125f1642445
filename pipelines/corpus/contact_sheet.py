"""Contact sheets: a category's images at a glance, a sample of them on one PNG."""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pipelines.corpus.thumbnails import FRAME, INSIDE, SIDE, TILES, Key, key_of, thumbnail
from pipelines.images import ImageError
from pipelines.tables import REFERENCE

SHEETS = 100  # categories that get one
COLUMNS = 8
GAP = 4
CAPTION = 46
MARGIN = 8
REFERENCE_COLOUR = (255, 176, 0)
DEFECT_COLOUR = (56, 214, 255)  # as on the review page
LINE = 2  # pixels of a defect's box
GROUND, INK, MISSING = (24, 24, 24), (235, 235, 235), (120, 30, 30)


Colour = tuple[int, int, int]


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
    rows: Sequence[Mapping[str, Any]],
    statistics: Sequence[Mapping[str, Any]],
    defects: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    thumbnails: Mapping[Key, bytes] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """File name and PNG of each category's sheet, for the first `SHEETS` categories.

    References are framed, labelled defects have their boxes drawn; the caption says so.

    Args:
        rows: usable images: image_id, category, role, uri, levels, width, height.
        statistics: rows of `category_statistics`.
        defects: labelled boxes by image_id; None has none.
        thumbnails: those that are made already (`thumbnails.by_key`); others are read from the images.
    """
    categories = {row["category"] for row in statistics[:SHEETS]}
    by_category: dict[str, list[Mapping[str, Any]]] = {category: [] for category in categories}
    for row in rows:
        if row["category"] in categories:
            by_category[row["category"]].append(row)
    for figures in statistics[:SHEETS]:
        chosen = sample(by_category[figures["category"]])
        boxes = [(defects or {}).get(row["image_id"], ()) for row in chosen]
        caption = _caption(figures, chosen, boxes)
        yield sheet_name(figures["category"]), _encoded(_sheet(chosen, boxes, caption, thumbnails or {}))


def _caption(
    figures: Mapping[str, Any],
    chosen: Sequence[Mapping[str, Any]],
    boxes: Sequence[Sequence[Mapping[str, Any]]],
) -> list[tuple[str, Colour]]:
    """Pieces of text with their colours; a piece that ends in a line break ends its line."""
    splits = ", ".join(
        f"{name} {figures[name]}" for name in ("train", "test", "unlabelled", "references", "quarantined")
    )
    name = "".join(letter if letter.isprintable() else "?" for letter in figures["category"])
    name = name if len(name) <= 80 else f"{name[:79]}…"
    pieces = [(f"{name}\n", INK), (f"{figures['images']} images ({splits}); {len(chosen)} shown", INK)]
    if any(row["role"] == REFERENCE for row in chosen):
        pieces.append(("   frame: normal reference", REFERENCE_COLOUR))
    if any(boxes):
        pieces.append(("   box: labelled defect", DEFECT_COLOUR))
    return pieces


def _sheet(
    chosen: Sequence[Mapping[str, Any]],
    boxes: Sequence[Sequence[Mapping[str, Any]]],
    caption: Sequence[tuple[str, Colour]],
    thumbnails: Mapping[Key, bytes],
) -> Image.Image:
    lines = max(1, -(-len(chosen) // COLUMNS))
    step = SIDE + GAP
    size = (2 * MARGIN + COLUMNS * step - GAP, 2 * MARGIN + CAPTION + lines * step - GAP)
    sheet = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    x, y = float(MARGIN), MARGIN
    for text, colour in caption:
        draw.text((x, y), text.rstrip("\n"), fill=colour, font=font)
        x, y = (float(MARGIN), y + 20) if text.endswith("\n") else (x + font.getlength(text), y)
    for place, (row, defects) in enumerate(zip(chosen, boxes, strict=True)):
        left = MARGIN + place % COLUMNS * step
        top = MARGIN + CAPTION + place // COLUMNS * step
        tile = _tile(row, defects, thumbnails.get(key_of(row)))
        middle = left + (SIDE - tile.width) // 2, top + (SIDE - tile.height) // 2
        if row["role"] == REFERENCE:
            draw.rectangle(
                (left, top, left + SIDE - 1, top + SIDE - 1), outline=REFERENCE_COLOUR, width=FRAME
            )
        sheet.paste(tile, middle)
    return sheet


def _tile(row: Mapping[str, Any], defects: Sequence[Mapping[str, Any]], made: bytes | None) -> Image.Image:
    """The image with its defects at the size of the frame's inside; a red tile when it can't be read."""
    try:
        image = Image.open(io.BytesIO(made)) if made else thumbnail(str(row["uri"]), row["levels"])
    except ImageError:
        return Image.new("RGB", (INSIDE, INSIDE), MISSING)
    draw = ImageDraw.Draw(image)
    scale = image.width / row["width"], image.height / row["height"]
    for box in defects:
        # The line lies around the defect, so that it hides none of it; the tile's edge cuts it.
        left, top, right, bottom = (
            round(box[side] * scale[number % 2]) for number, side in enumerate(("x0", "y0", "x1", "y1"))
        )
        draw.rectangle(
            (left - LINE, top - LINE, max(right, left + 1) + LINE - 1, max(bottom, top + 1) + LINE - 1),
            outline=DEFECT_COLOUR,
            width=LINE,
        )
    return image


def _encoded(sheet: Image.Image) -> bytes:
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
