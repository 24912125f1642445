from .export import CLASS_NAME, coco_annotation, coco_document, yolo_line
from .pseudo_boxes import PseudoBox, category_threshold, regions, smallest_area
from .region import Region
from .rows import category_thresholds
from .section import BoxesSection, PseudoBoxSettings
from .stage import derive_boxes, find_boxes
from .suppression import unsuppressed

__all__ = [
    "CLASS_NAME",
    "BoxesSection",
    "PseudoBox",
    "PseudoBoxSettings",
    "Region",
    "category_threshold",
    "category_thresholds",
    "coco_annotation",
    "coco_document",
    "derive_boxes",
    "find_boxes",
    "regions",
    "smallest_area",
    "unsuppressed",
    "yolo_line",
]
