"""Masks as images of the same size as the photograph."""

from pipelines.annotations.base import Annotation, AnnotationError, LabelledBox, Mask, Truth, checked_label
from pipelines.annotations.faults import Faults
from pipelines.annotations.mask_boxes import boxes_of_mask
from pipelines.images import ImageError, read_mask


def read_drawn(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The union of the mask files, read by the rule of `read_mask`; a box around every region."""
    return _read(annotation, width, height, numbered=False)


def read_numbered(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The same of a data set that numbers its defects: every value but 0 is one."""
    return _read(annotation, width, height, numbered=True)


def truth_of_mask(mask: Mask, label: object) -> Truth:
    """A mask and the boxes of its regions, all of one class."""
    name = checked_label(label)
    return Truth(tuple(LabelledBox(*box, name) for box in boxes_of_mask(mask)), mask)


def _read(annotation: Annotation, width: int, height: int, *, numbered: bool) -> Truth:
    whole = None
    for uri in annotation.files:
        try:
            mask = read_mask(uri, numbered=numbered)
        except ImageError as error:
            raise AnnotationError(f"its mask {uri}: {error}") from None
        if mask.shape != (height, width):
            size = f"{mask.shape[1]}×{mask.shape[0]}"
            raise AnnotationError(f"its mask {uri} has {size} pixels, the image {width}×{height}")
        whole = mask if whole is None else whole | mask
    if whole is None:
        raise ValueError("an annotation of mask files names none")
    return truth_of_mask(whole, annotation.label)
