"""CVAT for images 1.1: the shapes of one image, as attributes of XML tags."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.annotations.base import Annotation, AnnotationError, Mask, checked_label, checked_size, finite
from pipelines.annotations.faults import Faults
from pipelines.annotations.shapes import Canvas, Shape, group_number, points_of, read_shapes

BOX, ELLIPSE, MASK = (
    ("xtl", "ytl", "xbr", "ybr"),
    ("cx", "cy", "rx", "ry"),
    ("left", "top", "width", "height"),
)


def read_cvat_shapes(annotation: Annotation, width: int, height: int, faults: Faults) -> list[Shape]:
    """Polygons, ellipses and masks with their inside; boxes, turned ones and polylines as boxes.

    Shapes of one class and `group_id` are one object.

    `annotation.content` is JSON: `name` (the image's), `size` (width, height, as text or null), `objects` (an
    object each: `kind`, the tag's name; `attributes`, the tag's own, as text).

    Raises:
        AnnotationError: another size, a shape that can't be used or has no box.
    """
    content = json.loads(annotation.content)
    if None not in content["size"]:
        checked_size((finite(content["size"][0]), finite(content["size"][1])), width, height)
    placed = [
        (f"{item['kind'][:20]} {number} of {content['name']}", item)
        for number, item in enumerate(content["objects"], start=1)
    ]
    return read_shapes(placed, _shape, annotation, (width, height), faults, _group)


def _group(item: Mapping[str, Any]) -> int | None:
    return group_number(item["attributes"].get("group_id"), none=0)


def _shape(item: Mapping[str, Any], canvas: Canvas) -> Shape:
    kind: str = item["kind"]
    attributes: Mapping[str, str] = item["attributes"]
    label = checked_label(attributes.get("label"))
    angle = finite(attributes.get("rotation", "0"))
    if kind == "box":
        x0, y0, x1, y1 = (finite(attributes.get(name)) for name in BOX)
        if angle == 0:
            return canvas.box((x0, y0, x1, y1), label)
        return canvas.turned_box((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, angle, label)
    if kind == "ellipse":
        x, y, rx, ry = (finite(attributes.get(name)) for name in ELLIPSE)
        return canvas.ellipse(x, y, rx, ry, angle, label)
    if kind == "mask":
        left, top, width, height = (_whole(attributes.get(name)) for name in MASK)
        return canvas.pixels(_mask(attributes.get("rle", ""), width, height, canvas), left, top, label)
    if kind in {"polygon", "polyline"}:
        pairs = [pair.split(",") for pair in attributes.get("points", "").split(";")]
        if not all(len(pair) == 2 for pair in pairs):
            raise AnnotationError("its points are no pairs of x and y")
        values: list[object] = [value for pair in pairs for value in pair]
        return canvas.polygon(values, label) if kind == "polygon" else canvas.line(values, label)
    if kind == "cuboid":
        corners = (
            f"{axis}{side}{number}" for number in "12" for side in ("tl", "bl", "tr", "br") for axis in "xy"
        )
        return canvas.around(points_of([attributes.get(name) for name in corners], least=8), label)
    raise AnnotationError(f"a shape of the kind {kind[:20]!r} has no box")


def _whole(value: object) -> int:
    number = finite(value)
    if number != int(number):
        raise AnnotationError(f"{str(value)[:40]!r} is no whole number")
    return int(number)


def _mask(text: str, width: int, height: int, canvas: Canvas) -> Mask:
    """The mask of runs along the rows, background first."""
    if not (0 < width <= canvas.width and 0 < height <= canvas.height):
        raise AnnotationError(f"its mask of {width}×{height} pixels does not fit into the image")
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 12 for word in words):
        raise AnnotationError("its rle is no list of whole numbers")
    runs = np.array(words, dtype=np.int64)
    if sum(runs.tolist()) != width * height:
        raise AnnotationError(
            f"its rle covers {sum(runs.tolist()):,} pixels, its rectangle has {width * height:,}"
        )
    mask: Mask = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return mask
