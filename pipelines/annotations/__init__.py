"""Annotation formats, one file each: from what is written of an image to boxes and a mask."""

from pipelines.annotations.base import (
    Annotation,
    AnnotationError,
    LabelledBox,
    Mask,
    Reader,
    Truth,
    checked_count,
)
from pipelines.annotations.class_runs import read_class_runs
from pipelines.annotations.coco_objects import read_coco
from pipelines.annotations.mask_files import read_bright, read_index
from pipelines.annotations.voc_xml import read_voc
from pipelines.annotations.yolo_text import read_yolo

__all__ = ["Annotation", "AnnotationError", "LabelledBox", "Mask", "Truth", "read_truth"]

READERS: dict[str, Reader] = {
    "mask": read_bright,
    "index_mask": read_index,
    "voc": read_voc,
    "yolo": read_yolo,
    "coco": read_coco,
    "class_runs": read_class_runs,
}


def read_truth(annotation: Annotation, width: int, height: int) -> Truth:
    """What an annotation says of an image of this size.

    Raises:
        AnnotationError: it can't be used; the message names the file, where it has one, and the fault.
    """
    truth = READERS[annotation.format](annotation, width, height)
    checked_count(len(truth.boxes))
    return truth
