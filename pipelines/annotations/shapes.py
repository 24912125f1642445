"""Shapes that labelling tools draw: an object becomes a box and, where it has an inside, its pixels."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.annotations.base import (
    Annotation,
    AnnotationError,
    LabelledBox,
    Mask,
    Truth,
    checked_box,
    checked_count,
    checked_label,
    finite,
    turned_corners,
)
from pipelines.annotations.faults import Faults, Spot
from pipelines.annotations.polygons import checked_polygon, mask_of_polygons

ItemT = TypeVar("ItemT")

MAX_MASK_PIXELS = 10**10  # a few characters can ask for any number of masks of a whole image

Points = npt.NDArray[np.float64]  # (points, 2): x, y in pixels


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        box: its box with its class.
        left, top: the pixel where `pixels` begins.
        pixels: (height, width) bool, its inside; None for boxes, also turned ones, and lines.
    """

    box: LabelledBox
    left: int = 0
    top: int = 0
    pixels: Mask | None = None

    def whole(self, width: int, height: int) -> Mask | None:
        """Its inside in the whole image, (height, width)."""
        if self.pixels is None:
            return None
        mask: Mask = np.zeros((height, width), np.bool_)
        rows, columns = self.pixels.shape
        mask[self.top : self.top + rows, self.left : self.left + columns] = self.pixels
        return mask


ShapeReader = Callable[[Annotation, int, int, Faults], list[Shape]]  # as a reader, but shape by shape


@dataclass(frozen=True)
class Canvas:
    """The image that shapes are drawn on.

    Attributes:
        width, height: its size in pixels.
        spot: where faults of this shape are noted, see `Faults.at`.
    """

    width: int
    height: int
    spot: Spot

    @property
    def mended(self) -> list[str] | None:
        """Repairs, where shapes that stick out may be cut."""
        return self.spot.mended if self.spot.clip else None

    def box(self, corners: tuple[float, float, float, float], label: object) -> Shape:
        """An upright box: x0, y0, x1, y1 in pixels, x1 and y1 exclusive."""
        return Shape(checked_box(corners, label, self.width, self.height, self.mended))

    def turned(self, x: float, y: float, points: Sequence[tuple[float, float]], angle: float) -> Points:
        """Points turned about (x, y).

        Args:
            x, y: the point that stays.
            points: points relative to it.
            angle: degrees clockwise as one sees it (y points down).
        """
        turn = math.radians(angle)
        matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        turned: Points = np.array(points, dtype=np.float64) @ matrix + (x, y)
        return turned

    def turned_box(
        self, x: float, y: float, width: float, height: float, angle: float, label: object
    ) -> Shape:
        """The box around the corners of a box turned about its centre (x, y), in degrees clockwise."""
        w, h = width / 2, height / 2
        return self.box(turned_corners((x - w, y - h, x + w, y + h), angle), label)

    def around(self, points: Points, label: object) -> Shape:
        """The box around points, without an inside."""
        (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return self.box((x0, y0, x1, y1), label)

    def line(self, values: Sequence[object], label: object) -> Shape:
        """The box around a line of x, y, x, y, …; a side below a pixel becomes a pixel.

        Raises:
            AnnotationError: fewer than two points.
        """
        points = points_of(values, least=2)
        low, high = points.min(axis=0), points.max(axis=0)
        thin = np.maximum(1.0 - (high - low), 0.0) / 2
        limits = np.array([self.width, self.height], dtype=np.float64)
        low, high = low - thin, high + thin
        back = np.maximum(-low, 0.0) * (thin > 0) - np.maximum(high - limits, 0.0) * (thin > 0)
        return self.around(np.array([low + back, high + back]), label)

    def polygon(
        self, values: Sequence[object], label: object, holes: Sequence[Sequence[object]] = ()
    ) -> Shape:
        """An outline x, y, x, y, … and the outlines of its holes.

        Raises:
            AnnotationError: fewer than three points, an outline outside the image.
        """
        outline = checked_polygon(values, self.width, self.height, self.mended)
        found = self.around(outline, label)
        mask = mask_of_polygons([outline], self.width, self.height)
        for hole in holes:
            inner = checked_polygon(hole, self.width, self.height, self.mended)
            mask &= ~mask_of_polygons([inner], self.width, self.height)
        return _cut(mask, found.box)

    def ellipse(self, x: float, y: float, rx: float, ry: float, angle: float, label: object) -> Shape:
        """An ellipse about (x, y), turned in degrees clockwise: pixels whose centre lies inside.

        Raises:
            AnnotationError: a radius of 0 or less.
        """
        if rx <= 0 or ry <= 0:
            raise AnnotationError(f"an ellipse of the radii {rx:g} and {ry:g} is empty")
        turn = math.radians(angle)
        c, s = math.cos(turn), math.sin(turn)
        w, h = math.hypot(rx * c, ry * s), math.hypot(rx * s, ry * c)
        box = self.box((x - w, y - h, x + w, y + h), label).box
        left, top = math.floor(box.x0), math.floor(box.y0)
        right, bottom = min(math.ceil(box.x1), self.width), min(math.ceil(box.y1), self.height)
        across = np.arange(left, right)[None, :] + 0.5 - x
        down = np.arange(top, bottom)[:, None] + 0.5 - y
        inside = ((across * c + down * s) / rx) ** 2 + ((down * c - across * s) / ry) ** 2 <= 1
        return Shape(box, left, top, inside)

    def pixels(self, mask: Mask, left: int, top: int, label: object) -> Shape:
        """A drawn mask whose first pixel is (left, top); its box is around its own pixels.

        Raises:
            AnnotationError: it leaves the image, or has no pixel.
        """
        rows, columns = mask.shape
        if left < 0 or top < 0 or left + columns > self.width or top + rows > self.height:
            raise AnnotationError(
                f"its mask of {columns}×{rows} pixels at ({left}, {top}) leaves the image of "
                f"{self.width}×{self.height}"
            )
        if not mask.any():
            raise AnnotationError("its mask is empty")
        return _cut(mask, None, left, top, label)


def _cut(mask: Mask, box: LabelledBox | None, left: int = 0, top: int = 0, label: object = None) -> Shape:
    """A mask cut to its own pixels; with a box from elsewhere it may be empty (a very thin outline)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        if box is None:
            raise AnnotationError("its mask is empty")
        return Shape(box, 0, 0, np.zeros((1, 1), np.bool_))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    if box is None:
        name = checked_label(label)
        box = LabelledBox(float(left + x0), float(top + y0), float(left + x1), float(top + y1), name)
    return Shape(box, left + x0, top + y0, mask[y0:y1, x0:x1].copy())


def points_of(values: Sequence[object], least: int) -> Points:
    """The points of x, y, x, y, …

    Raises:
        AnnotationError: fewer than `least`, or a value that is no finite number.
    """
    if len(values) < 2 * least or len(values) % 2:
        raise AnnotationError(f"it needs at least {least} pairs of x and y")
    return np.array([finite(value) for value in values]).reshape(-1, 2)


def flat(points: object) -> list[object]:
    """x, y, x, y, … of a list of pairs.

    Raises:
        AnnotationError: not a list of pairs.
    """
    if not isinstance(points, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in points):
        raise AnnotationError("its points are no list of pairs of x and y")
    return [value for pair in points for value in pair]


def group_number(value: object, none: int | None = None) -> int | None:
    """The number of the group that a shape is in; None where it is in none.

    Args:
        value: what the tool wrote, a whole number or its text, or None.
        none: the number by which the tool says that it is in none.

    Raises:
        AnnotationError: no whole number.
    """
    if value is None:
        return None
    number = finite(value)
    if number != int(number):
        raise AnnotationError(f"its group {str(value)[:40]!r} is no whole number")
    return None if number == none else int(number)


def _joined(parts: Sequence[Shape]) -> Shape:
    """Parts of one object as a shape: the box around them all; pixels where every part has some."""
    if len(parts) == 1:
        return parts[0]
    boxes = [part.box for part in parts]
    box = LabelledBox(
        min(one.x0 for one in boxes),
        min(one.y0 for one in boxes),
        max(one.x1 for one in boxes),
        max(one.y1 for one in boxes),
        boxes[0].label,
    )
    drawn = [(part.left, part.top, part.pixels) for part in parts if part.pixels is not None]
    if len(drawn) < len(parts):
        return Shape(box)
    left, top = min(x for x, _, _ in drawn), min(y for _, y, _ in drawn)
    right = max(x + pixels.shape[1] for x, _, pixels in drawn)
    bottom = max(y + pixels.shape[0] for _, y, pixels in drawn)
    mask: Mask = np.zeros((bottom - top, right - left), np.bool_)
    for x, y, pixels in drawn:
        mask[y - top : y - top + pixels.shape[0], x - left : x - left + pixels.shape[1]] |= pixels
    return Shape(box, left, top, mask)


def read_shapes(
    placed: Sequence[tuple[str, ItemT]],
    shape_of: Callable[[ItemT, Canvas], Shape],
    annotation: Annotation,
    size: tuple[int, int],
    faults: Faults,
    group_of: Callable[[ItemT], int | None] = lambda _: None,
) -> list[Shape]:
    """An image's objects; those at fault are noted and left out.

    Shapes of one group and class are the parts of one object, as the tools' own exports have it; those of
    another class in the group are objects of their own.

    Args:
        placed: each shape with its place in the file, as faults name it.
        shape_of: function that reads a shape.
        annotation: the image's annotation, of one file.
        size: width and height of the image in pixels.
        faults: collects the shapes' faults.
        group_of: function that gives the number of a shape's group, None where it is in none.

    Raises:
        AnnotationError: too many objects, or too many for so large an image.
    """
    (uri,), (width, height) = annotation.files, size
    checked_count(len(placed))
    if len(placed) * width * height > MAX_MASK_PIXELS:
        raise AnnotationError(f"{len(placed):,} shapes are more than an image of its size allows")
    objects: dict[Hashable, list[Shape]] = {}
    for number, (place, item) in enumerate(placed):
        with faults.at(uri, place=place) as spot:
            shape, group = shape_of(item, Canvas(width, height, spot)), group_of(item)
            objects.setdefault(number if group is None else (group, shape.box.label), []).append(shape)
    return [_joined(parts) for parts in objects.values()]


def truth_of_shapes(shapes: Sequence[Shape], width: int, height: int) -> Truth:
    """All boxes; a mask where every shape has an inside."""
    boxes = tuple(shape.box for shape in shapes)
    if not shapes or any(shape.pixels is None for shape in shapes):
        return Truth(boxes)
    mask: Mask = np.zeros((height, width), np.bool_)
    for shape in shapes:
        if shape.pixels is not None:
            rows, columns = shape.pixels.shape
            mask[shape.top : shape.top + rows, shape.left : shape.left + columns] |= shape.pixels
    return Truth(boxes, mask)
