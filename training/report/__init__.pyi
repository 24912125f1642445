from .data import GalleryItem
from .page import percent
from .pictures import boxed, map_range, masked, overlay
from .samples import gallery
from .section import ReportSection
from .stage import write_report

__all__ = [
    "GalleryItem",
    "ReportSection",
    "boxed",
    "gallery",
    "map_range",
    "masked",
    "overlay",
    "percent",
    "write_report",
]
