from .names import DEFAULT_URL, FORMATS, IMAGE_MODES, LINK
from .writing import ExportOptions, check_options, export_boxes

__all__ = [
    "DEFAULT_URL",
    "FORMATS",
    "IMAGE_MODES",
    "LINK",
    "ExportOptions",
    "check_options",
    "export_boxes",
]
