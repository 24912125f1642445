"""What is known of one image: its boxes and its pixel mask, and where that is written."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.annotations.names import Crowds
from pipelines.images import ImageError

MAX_BOXES = 10_000  # boxes of one image
MAX_LABEL = 100  # characters of a class name
OVERHANG = 1.0  # pixels that a box may stick out, as annotation tools round; it is cut to the image

Mask = npt.NDArray[np.bool_]  # (height, width), True where defective


class AnnotationError(ImageError):
    """An annotation that can't be used; the message is the quarantine reason."""


@dataclass(frozen=True)
class Annotation:
    """Where the truth about one image is written. It is read together with the image.

    Attributes:
        format: the reader's name.
        files: the annotation's files, relative to the source's root while listing, by URI afterwards.
        label: defect class of everything in it, where the layout and not the file names it.
        content: this image's part of a table of many images, as text.
        empty_is_normal: whether an annotation without defects means a normal image.
        crowds: what COCO's `iscrowd` and VOC's `difficult` mean, as the source's config says.
    """

    format: str
    files: tuple[str, ...] = ()
    label: str | None = None
    content: str = ""
    empty_is_normal: bool = False
    crowds: Crowds = "auto"


@dataclass(frozen=True)
class LabelledBox:
    """A box in pixels of the original image, x1 and y1 exclusive, with its defect class."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: str


@dataclass(frozen=True)
class Truth:
    """What an annotation says.

    Attributes:
        boxes: the defects' boxes; may be empty.
        mask: the defects' pixels, those of ignored regions too; None where only boxes are known.
        ignored: regions that hold defects but are no objects: COCO's crowds, VOC's difficult objects. What is
            found there is neither right nor wrong.
    """

    boxes: tuple[LabelledBox, ...]
    mask: Mask | None = None
    ignored: tuple[LabelledBox, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it names no defect at all."""
        return not self.boxes and not self.ignored and (self.mask is None or not self.mask.any())


def checked_box(
    corners: tuple[float, float, float, float],
    label: object,
    width: int,
    height: int,
    mended: list[str] | None = None,
) -> LabelledBox:
    """A box in the image with an area; parts that stick out by a pixel or less are cut off.

    Args:
        corners: x0, y0, x1, y1 in pixels, x1 and y1 exclusive.
        label: defect class.
        width, height: the image's size in pixels.
        mended: list of repairs; if given, a box that sticks out further is cut too, one without height or
            width becomes the row or column of pixels that it lies in, and both are noted here.

    Raises:
        AnnotationError: not finite, empty, outside the image, in shares of it, or no usable label.
    """
    name = checked_label(label)
    box_text = "(" + ", ".join(f"{value:g}" for value in corners) + ")"
    if not all(math.isfinite(value) for value in corners):
        raise AnnotationError(f"box {box_text} has a corner that is no number")
    x0, y0, x1, y1 = corners
    line = (x0 == x1 and y0 < y1) or (y0 == y1 and x0 < x1)
    if line and mended is not None:
        x0, x1 = _widened(x0, x1, width)
        y0, y1 = _widened(y0, y1, height)
    if x1 <= x0 or y1 <= y0:
        raise AnnotationError(f"box {box_text} is empty")
    if not line and max(x1, y1) <= 1 and any(round(value, 2) % 1 for value in corners):
        raise AnnotationError(f"box {box_text} lies within the first pixel: shares of 0 to 1 are no pixels")
    outside = f"box {box_text} lies outside the image of {width}×{height} pixels"
    sticks_out = min(x0, y0) < -OVERHANG or x1 > width + OVERHANG or y1 > height + OVERHANG
    if sticks_out and mended is None:
        raise AnnotationError(outside)
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    if x1 <= x0 or y1 <= y0:
        raise AnnotationError(outside)
    if sticks_out and mended is not None:
        mended.append(f"box {box_text} sticks out of the image of {width}×{height} pixels: cut to it")
    if line and mended is not None:
        mended.append(f"box {box_text} is a line: taken as one pixel wide")
    return LabelledBox(x0, y0, x1, y1, name)


def _widened(low: float, high: float, size: int) -> tuple[float, float]:
    """A side of a box; one without length becomes the pixel that it lies in, if the image has it."""
    if low != high or not -OVERHANG <= low <= size + OVERHANG:
        return low, high
    start = float(min(max(math.floor(low), 0), size - 1))
    return start, start + 1


def turned_corners(
    corners: tuple[float, float, float, float], angle: float
) -> tuple[float, float, float, float]:
    """Corners of the upright box around a box turned about its centre.

    Args:
        corners: x0, y0, x1, y1 in pixels.
        angle: degrees clockwise as one sees it (y points down).

    Raises:
        AnnotationError: the box is empty.
    """
    x0, y0, x1, y1 = corners
    if x1 <= x0 or y1 <= y0:
        raise AnnotationError(f"a box of {x1 - x0:g}×{y1 - y0:g} pixels is empty")
    c, s = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    w, h = ((x1 - x0) * c + (y1 - y0) * s) / 2, ((x1 - x0) * s + (y1 - y0) * c) / 2
    return x - w, y - h, x + w, y + h


def checked_label(label: object) -> str:
    """A class name of 1 to 100 printable characters, without space around it.

    Raises:
        AnnotationError: anything else.
    """
    name = label.strip() if isinstance(label, str) else ""
    if not name or len(name) > MAX_LABEL or not name.isprintable():
        raise AnnotationError(f"{str(label)[:40]!r} is no class name")
    return name


def checked_count(boxes: int) -> None:
    """Refuse more than `MAX_BOXES` objects in one image.

    Raises:
        AnnotationError: there are more.
    """
    if boxes > MAX_BOXES:
        raise AnnotationError(f"{boxes:,} objects are more than the limit of {MAX_BOXES:,}")


def checked_size(size: tuple[float, float] | None, width: int, height: int) -> None:
    """Refuse an annotation that was made for an image of another size; None or 0 says nothing.

    Raises:
        AnnotationError: the sizes differ.
    """
    if size is not None and all(side > 0 for side in size) and size != (width, height):
        raise AnnotationError(
            f"it is for an image of {size[0]:g}×{size[1]:g} pixels, the image has {width}×{height}"
        )


def finite(value: Any) -> float:
    """A number as float; text is read as one.

    Raises:
        AnnotationError: no finite number.
    """
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise AnnotationError(f"{str(value)[:40]!r} is no finite number")
    return number


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """The value if it is a JSON object.

    Raises:
        AnnotationError: it is not; `what` names it.
    """
    if not isinstance(value, Mapping):
        raise AnnotationError(f"{what} is no JSON object")
    return value
