"""Segmenters by name; a new library is one adapter file that registers its names."""

from training.segmenters import mask2former as mask2former  # both register their names
from training.segmenters import semantic_fpn as semantic_fpn
from training.segmenters.base import (
    Segmenter,
    build_segmenter,
    check_segmenter_name,
    segmenter_names,
)

__all__ = ["Segmenter", "build_segmenter", "check_segmenter_name", "segmenter_names"]
