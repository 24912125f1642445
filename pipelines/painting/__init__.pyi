from .painter import Painted, paint
from .rows import TO_PAINT, paint_rows
from .section import KINDS, Count, DefectKind, PaintSection, PaintSettings, Strength
from .sheet import SHEET_FILE, painted_sheet
from .stage import paint_images

__all__ = [
    "KINDS",
    "SHEET_FILE",
    "TO_PAINT",
    "Count",
    "DefectKind",
    "PaintSection",
    "PaintSettings",
    "Painted",
    "Strength",
    "paint",
    "paint_images",
    "paint_rows",
    "painted_sheet",
]
