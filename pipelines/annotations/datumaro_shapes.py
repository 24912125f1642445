"""Datumaro JSON: the annotations of one item."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.annotations.base import Annotation, AnnotationError, checked_size, finite, mapping
from pipelines.annotations.class_names import written_label
from pipelines.annotations.faults import Faults
from pipelines.annotations.rle import decode_mask
from pipelines.annotations.shapes import Canvas, Shape, flat, group_number, points_of, read_shapes


def read_datumaro_shapes(annotation: Annotation, width: int, height: int, faults: Faults) -> list[Shape]:
    """Polygons, ellipses and masks with their inside; boxes and polylines as boxes.

    Annotations of one class and `group` are one object.

    `annotation.content` is JSON: `name` (the item's), `size` (height, width, or null), `objects` (the item's
    annotations, each with its class as `class`, null where its label is not listed). A box that CVAT turned
    has the angle in its attributes.

    Raises:
        AnnotationError: another size, an annotation that can't be used or has no box.
    """
    content = json.loads(annotation.content)
    size = content["size"]
    if size is not None:
        if not isinstance(size, list) or len(size) != 2:
            raise AnnotationError("its size is no pair of height and width")
        checked_size((finite(size[1]), finite(size[0])), width, height)
    placed = [
        (f"annotation {number} of item {content['name']}", item)
        for number, item in enumerate(content["objects"], start=1)
    ]
    return read_shapes(placed, _shape, annotation, (width, height), faults, _group)


def _group(item: Mapping[str, Any]) -> int | None:
    return group_number(item.get("group"), none=0)


def _shape(item: Mapping[str, Any], canvas: Canvas) -> Shape:
    if item["class"] is None:
        raise AnnotationError(f"its label {str(item.get('label_id'))[:20]} is not listed")
    label, kind = written_label(item["class"]), item.get("type")
    if kind == "bbox":
        x, y, w, h = _numbers(item, "bbox")
        attributes = item.get("attributes")
        angle = finite(attributes.get("rotation") or 0) if isinstance(attributes, dict) else 0.0
        if angle == 0:
            return canvas.box((x, y, x + w, y + h), label)
        return canvas.turned_box(x + w / 2, y + h / 2, w, h, angle, label)
    if kind == "polygon":
        return canvas.polygon(_points(item), label)
    if kind == "polyline":
        return canvas.line(_points(item), label)
    if kind == "ellipse":
        x0, y0, x1, y1 = _numbers(item, "points")  # corners of the rectangle around it
        return canvas.ellipse((x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2, 0.0, label)
    if kind == "cuboid_2d":
        return canvas.around(points_of(flat(item.get("points")), least=8), label)
    if kind == "mask":
        runs = mapping(item.get("rle"), "its rle")
        if runs.get("size") != [canvas.height, canvas.width] or not isinstance(runs.get("counts"), str):
            raise AnnotationError(f"its rle is not for {canvas.height} rows and {canvas.width} columns")
        return canvas.pixels(decode_mask(runs["counts"], canvas.width, canvas.height), 0, 0, label)
    raise AnnotationError(f"an annotation of the type {str(kind)[:20]!r} has no box")


def _points(item: Mapping[str, Any]) -> list[object]:
    points = item.get("points")
    if not isinstance(points, list):
        raise AnnotationError("its points are no list")
    return points


def _numbers(item: Mapping[str, Any], part: str) -> tuple[float, float, float, float]:
    values = item.get(part)
    if not isinstance(values, list) or len(values) != 4:
        raise AnnotationError(f"its {part} is no list of four numbers")
    a, b, c, d = (finite(value) for value in values)
    return a, b, c, d
