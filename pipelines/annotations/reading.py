"""Annotations of every format read as boxes and a mask."""

from collections.abc import Callable

from pipelines.annotations.base import Annotation, AnnotationError, Truth, checked_count
from pipelines.annotations.boxed_mask import read_boxed_mask
from pipelines.annotations.class_runs import read_class_runs
from pipelines.annotations.coco_objects import read_coco
from pipelines.annotations.faults import Faults, LabelFault
from pipelines.annotations.mask_files import read_drawn, read_numbered
from pipelines.annotations.tool_formats import SHAPE_READERS, read_tool
from pipelines.annotations.voc_xml import read_voc
from pipelines.annotations.yolo_text import read_yolo

Reader = Callable[[Annotation, int, int, Faults], Truth]  # annotation, image width, image height, faults

READERS: dict[str, Reader] = {
    "mask": read_drawn,
    "index_mask": read_numbered,
    "voc": read_voc,
    "yolo": read_yolo,
    "boxed_mask": read_boxed_mask,
    "coco": read_coco,
    "class_runs": read_class_runs,
    **dict.fromkeys(SHAPE_READERS, read_tool),
}


def read_truth(annotation: Annotation, width: int, height: int, faults: Faults | None = None) -> Truth:
    """What an annotation says of an image of this size.

    Args:
        annotation: the image's annotation.
        width, height: the image's size in pixels.
        faults: collects all faults, also those that leave the annotation usable.

    Raises:
        AnnotationError: it can't be used; the message names the file, where it has one, and the first fault.
    """
    faults = faults if faults is not None else Faults()
    file = annotation.files[0] if annotation.files else ""
    try:
        truth = READERS[annotation.format](annotation, width, height, faults)
        checked_count(len(truth.boxes))
    except AnnotationError as error:
        reason = str(error).removeprefix(f"its annotation {file}: ")
        faults.found.append(LabelFault(file, None, reason, whole=True))
        raise
    bad = next((fault for fault in faults.found if not fault.mended), None)
    if bad is not None:
        line = f"line {bad.line}: " if bad.line is not None else ""
        raise AnnotationError(f"its annotation {file}: {line}{bad.reason}" if file else bad.reason)
    return truth
