from .artifacts import Pretraining, RunArtifacts, StartOutcome
from .data import GalleryItem
from .lead import compared_starts
from .page import percent
from .pictures import boxed, map_range, masked, overlay
from .samples import gallery
from .section import ReportSection
from .stage import write_report

__all__ = [
    "GalleryItem",
    "Pretraining",
    "ReportSection",
    "RunArtifacts",
    "StartOutcome",
    "boxed",
    "compared_starts",
    "gallery",
    "map_range",
    "masked",
    "overlay",
    "percent",
    "write_report",
]
