from .choice import CHOICE_FILE
from .export import CLASS_NAME, coco_annotation, coco_document, yolo_line
from .matching import Matches, matched
from .outstanding import outstanding_regions
from .overlap import areas, ious, shares_within
from .pseudo_boxes import (
    CategoryThreshold,
    MapCuts,
    PseudoBox,
    category_threshold,
    cut_boxes,
    regions,
    smallest_area,
)
from .region import Region
from .rows import category_thresholds
from .section import BoxesSection, PseudoBoxSettings, RegionSettings
from .shares import BoxShares, box_shares, pseudo_box_shares
from .stage import SORTED, derive_boxes, find_boxes
from .suppression import unsuppressed

__all__ = [
    "CHOICE_FILE",
    "CLASS_NAME",
    "SORTED",
    "BoxShares",
    "BoxesSection",
    "CategoryThreshold",
    "MapCuts",
    "Matches",
    "PseudoBox",
    "PseudoBoxSettings",
    "Region",
    "RegionSettings",
    "areas",
    "box_shares",
    "category_threshold",
    "category_thresholds",
    "coco_annotation",
    "coco_document",
    "cut_boxes",
    "derive_boxes",
    "find_boxes",
    "ious",
    "matched",
    "outstanding_regions",
    "pseudo_box_shares",
    "regions",
    "shares_within",
    "smallest_area",
    "unsuppressed",
    "yolo_line",
]
