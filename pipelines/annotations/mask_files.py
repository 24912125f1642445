"""Masks as images of the same size as the photograph."""

from pipelines.annotations.base import Annotation, AnnotationError, LabelledBox, Mask, Truth, checked_label
from pipelines.annotations.faults import Faults
from pipelines.annotations.mask_boxes import boxes_of_mask
from pipelines.images import ImageError, read_mask

BRIGHT, INDEX = (
    127,
    0,
)  # a pixel is defective above: hand-drawn masks blur their edges, index masks count defects


def read_bright(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """Defective where any of the mask files is brighter than 127; a box around every region."""
    return _read(annotation, width, height, BRIGHT)


def read_index(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """Defective where any of the mask files is not 0; a box around every region."""
    return _read(annotation, width, height, INDEX)


def truth_of_mask(mask: Mask, label: object) -> Truth:
    """A mask and the boxes of its regions, all of one class."""
    name = checked_label(label)
    return Truth(tuple(LabelledBox(*box, name) for box in boxes_of_mask(mask)), mask)


def _read(annotation: Annotation, width: int, height: int, above: int) -> Truth:
    whole = None
    for uri in annotation.files:
        try:
            mask = read_mask(uri, above)
        except ImageError as error:
            raise AnnotationError(f"its mask {uri}: {error}") from None
        if mask.shape != (height, width):
            size = f"{mask.shape[1]}×{mask.shape[0]}"
            raise AnnotationError(f"its mask {uri} has {size} pixels, the image {width}×{height}")
        whole = mask if whole is None else whole | mask
    if whole is None:
        raise ValueError("an annotation of mask files names none")
    return truth_of_mask(whole, annotation.label)
