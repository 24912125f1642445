from .base import Annotation, AnnotationError, checked_label
from .class_names import written_label
from .crowds import has_single_objects, is_tagged
from .faults import Faults, LabelFault
from .instances import Instance, read_instances
from .json_files import parse_json
from .mask_boxes import boxes_of_mask, mask_of_boxes
from .names import Crowds
from .reading import read_truth
from .rle import decode_mask, encode_mask

__all__ = [
    "Annotation",
    "AnnotationError",
    "Crowds",
    "Faults",
    "Instance",
    "LabelFault",
    "boxes_of_mask",
    "checked_label",
    "decode_mask",
    "encode_mask",
    "has_single_objects",
    "is_tagged",
    "mask_of_boxes",
    "parse_json",
    "read_instances",
    "read_truth",
    "written_label",
]
