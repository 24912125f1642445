"""YOLO's boxes and a pixel mask of the same image: the boxes are the objects, the mask their pixels."""

from dataclasses import replace

from pipelines.annotations.base import Annotation, AnnotationError, Truth
from pipelines.annotations.faults import Faults
from pipelines.annotations.mask_files import read_numbered
from pipelines.annotations.yolo_text import read_yolo


def read_boxed_mask(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The boxes of the first file, see `read_yolo`, and the mask of the second, where all but 0 is a defect.

    Raises:
        AnnotationError: either can't be used, or one says that there is a defect and the other that there is
            none.
    """
    text, mask_file = annotation.files
    boxes = read_yolo(replace(annotation, files=(text,)), width, height, faults).boxes
    mask = read_numbered(replace(annotation, files=(mask_file,), label="defect"), width, height, faults).mask
    if mask is None or bool(mask.any()) != bool(boxes):
        raise AnnotationError(f"it names {len(boxes)} boxes where its mask {mask_file} says otherwise")
    return Truth(boxes, mask)
