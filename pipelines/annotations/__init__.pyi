from .base import Annotation, AnnotationError, checked_label
from .class_names import written_label
from .faults import Faults, LabelFault
from .instances import Instance, read_instances
from .mask_boxes import boxes_of_mask
from .reading import read_truth
from .rle import decode_mask, encode_mask

__all__ = [
    "Annotation",
    "AnnotationError",
    "Faults",
    "Instance",
    "LabelFault",
    "boxes_of_mask",
    "checked_label",
    "decode_mask",
    "encode_mask",
    "read_instances",
    "read_truth",
    "written_label",
]
