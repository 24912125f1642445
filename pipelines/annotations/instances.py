"""The objects of an annotation one by one: class, box and, where they are known, the object's own pixels."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.annotations.base import (
    Annotation,
    AnnotationError,
    LabelledBox,
    Mask,
    Truth,
    checked_count,
)
from pipelines.annotations.coco_objects import MAX_MASK_PIXELS, marks_of, mask_of_object
from pipelines.annotations.faults import Faults
from pipelines.annotations.mask_boxes import regions_of_mask
from pipelines.annotations.reading import read_truth
from pipelines.annotations.rle import decode_mask, encode_mask, mask_of_runs
from pipelines.annotations.shapes import Shape
from pipelines.annotations.tool_formats import SHAPE_READERS
from pipelines.annotations.yolo_text import read_yolo_shapes


@dataclass(frozen=True)
class Instance:
    """One object.

    Attributes:
        box: the object's box in pixels of the image, with its class.
        left, top, width, height: the rectangle that `runs` describes, whole pixels; all 0 without a mask.
        runs: COCO's run-length text of the mask within that rectangle; None where only the box is known.
        stray: whether it is a speck of a drawn mask, too small to be an object of its own (`MIN_AREA`): it
            counts as defective pixels, not as an object.
        ignored: whether it is a region of `Truth.ignored`: stray, and detections there are neither right nor
            wrong.
    """

    box: LabelledBox
    left: int = 0
    top: int = 0
    width: int = 0
    height: int = 0
    runs: str | None = None
    stray: bool = False
    ignored: bool = False

    def mask(self) -> Mask:
        """(height, width) bool of its rectangle.

        Raises:
            ValueError: it has no mask.
        """
        if self.runs is None:
            raise ValueError("an instance without a mask has no pixels")
        return decode_mask(self.runs, self.width, self.height)


def read_instances(annotation: Annotation, width: int, height: int, *, clip: bool = False) -> list[Instance]:
    """The objects that an annotation names, in its order; masks of whole images are cut into their regions.

    Args:
        annotation: the image's annotation.
        width, height: the image's size in pixels.
        clip: whether boxes and polygons that stick out of the image are cut instead of refused.

    Raises:
        AnnotationError: see `read_truth`.
    """
    faults = Faults(clip)
    truth = read_truth(annotation, width, height, faults)  # checks all that is checked below too
    if annotation.format == "class_runs":
        masks = sorted(json.loads(annotation.content).items())
        instances = [
            one for label, runs in masks for one in _regions(mask_of_runs(runs, width, height), label)
        ]
    elif annotation.format == "coco":
        instances = list(_coco(annotation, truth, width, height, clip))
    elif annotation.format == "yolo":
        shapes = read_yolo_shapes(annotation, width, height, Faults(clip))
        instances = [Instance(box) if mask is None else _of_mask(mask, box) for box, mask in shapes]
    elif annotation.format in SHAPE_READERS:
        drawn = SHAPE_READERS[annotation.format](annotation, width, height, Faults(clip))
        instances = [_of_shape(shape) for shape in drawn]
    elif annotation.format == "boxed_mask" and truth.mask is not None:
        instances = list(_within_boxes(truth.mask, truth.boxes))
    elif truth.mask is not None:
        instances = list(_regions(truth.mask, str(annotation.label)))
    else:
        instances = [Instance(box) for box in truth.boxes]
        instances += [Instance(box, stray=True, ignored=True) for box in truth.ignored]
    checked_count(sum(not one.stray for one in instances))
    return instances


def _of_shape(shape: Shape) -> Instance:
    """A tool's shape; one whose inside covers no pixel's centre has only a box."""
    if shape.pixels is None or not shape.pixels.any():
        return Instance(shape.box)
    height, width = shape.pixels.shape
    return Instance(shape.box, shape.left, shape.top, width, height, encode_mask(shape.pixels))


def _regions(mask: Mask, label: str) -> Iterator[Instance]:
    """The connected regions of a mask."""
    for top, left, region, stray in regions_of_mask(mask):
        height, width = region.shape
        box = LabelledBox(float(left), float(top), float(left + width), float(top + height), label.strip())
        yield Instance(box, left, top, width, height, encode_mask(region), stray)


def _within_boxes(mask: Mask, boxes: Sequence[LabelledBox]) -> Iterator[Instance]:
    """Each box with the mask's pixels in it; pixels in no box are of no object."""
    rest = mask.copy()
    for box in boxes:
        rows = slice(math.floor(box.y0), math.ceil(box.y1))
        columns = slice(math.floor(box.x0), math.ceil(box.x1))
        inside = np.zeros_like(mask)
        inside[rows, columns] = mask[rows, columns]
        rest[rows, columns] = False
        yield _of_mask(inside, box)
    yield from (replace(one, stray=True) for one in _regions(rest, ""))


def _of_mask(mask: Mask, box: LabelledBox) -> Instance:
    """An object from its mask in the whole image; one that covers no pixel's centre has only a box."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return Instance(box)
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    return Instance(box, left, top, part.shape[1], part.shape[0], encode_mask(part))


def _coco(annotation: Annotation, truth: Truth, width: int, height: int, clip: bool) -> Iterator[Instance]:
    content = json.loads(annotation.content)
    objects: list[Mapping[str, Any]] = content["objects"]
    if len(objects) * width * height > MAX_MASK_PIXELS:
        raise AnnotationError(f"{len(objects):,} masks are more than its size allows")
    boxes, ignored = iter(truth.boxes), iter(truth.ignored)
    for item in objects:
        mask = mask_of_object(item, width, height, clip=clip)
        _, crowd = marks_of(item, annotation, content)
        box = next(ignored if crowd else boxes)
        one = Instance(box) if mask is None else _of_mask(mask, box)
        yield replace(one, stray=crowd, ignored=crowd)
