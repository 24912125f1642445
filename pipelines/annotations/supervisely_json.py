"""Supervisely: a JSON file an image; coordinates are whole pixels, both ends included."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipelines.annotations.base import Annotation, AnnotationError, Mask, checked_size, finite, mapping
from pipelines.annotations.class_names import written_label
from pipelines.annotations.faults import Faults
from pipelines.annotations.json_files import read_json, rows_of
from pipelines.annotations.png_masks import png_mask
from pipelines.annotations.shapes import Canvas, Shape, flat, points_of, read_shapes

LARGEST = 1 << 15  # OpenCV draws with 16 bits before the point


def read_supervisely_shapes(annotation: Annotation, width: int, height: int, faults: Faults) -> list[Shape]:
    """Bitmaps and polygons (with holes) with their pixels; rectangles, oriented ones and lines as boxes.

    Raises:
        AnnotationError: no Supervisely annotation, another size, an object that has no box.
    """
    (uri,) = annotation.files
    document = read_json(uri)
    with faults.at(uri):
        size = mapping(document.get("size"), "its size")
        checked_size((finite(size.get("width")), finite(size.get("height"))), width, height)
    items = rows_of(document, "objects")
    placed = [(f"object {number}", item) for number, item in enumerate(items, start=1)]
    return read_shapes(placed, _shape, annotation, (width, height), faults)


def _shape(item: Mapping[str, Any], canvas: Canvas) -> Shape:
    label, kind = written_label(item.get("classTitle")), str(item.get("geometryType"))
    if kind == "bitmap":
        bitmap = mapping(item.get("bitmap"), "its bitmap")
        left, top = _whole(bitmap.get("origin"), least=1)[0]
        return canvas.pixels(png_mask(bitmap.get("data"), canvas.width, canvas.height), left, top, label)
    if kind == "oriented_bbox":
        corners = _whole(item.get("points"), least=2)
        (x0, y0), (x1, y1) = np.min(corners, axis=0).tolist(), (np.max(corners, axis=0) + 1).tolist()
        angle = math.degrees(finite(item.get("angle")))
        return canvas.turned_box((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, angle, label)
    if kind not in {"rectangle", "polygon", "line"}:
        raise AnnotationError(f"an object of the kind {kind[:20]!r} has no box")
    points = mapping(item.get("points"), "its points")
    outline = _whole(points.get("exterior"), least=3 if kind == "polygon" else 2)
    (x0, y0), (x1, y1) = np.min(outline, axis=0).tolist(), np.max(outline, axis=0).tolist()
    shape = canvas.box((float(x0), float(y0), float(x1 + 1), float(y1 + 1)), label)
    if kind != "polygon":
        return shape
    holes = points.get("interior") or []
    if not isinstance(holes, list):
        raise AnnotationError("its interior is no list of outlines")
    return Shape(shape.box, *_filled(outline, [_whole(hole, least=3) for hole in holes], canvas))


def _whole(points: object, least: int) -> list[list[int]]:
    """Points of whole pixels.

    Raises:
        AnnotationError: parts of pixels, which the tool's own exports don't have; far outside any image.
    """
    values = points_of(flat(points if least > 1 else [points]), least)
    if (values != np.rint(values)).any():
        raise AnnotationError("its points are parts of pixels; Supervisely exports whole ones")
    if np.abs(values).max() >= LARGEST:
        raise AnnotationError("its points lie far outside the image")
    return [[int(x), int(y)] for x, y in values]


def _filled(outline: list[list[int]], holes: list[list[list[int]]], canvas: Canvas) -> tuple[int, int, Mask]:
    """Left, top and pixels of a polygon, whose corners are pixels of it; holes go to their corners."""
    import cv2  # slow to import; who lists images needs it not

    drawn = np.zeros((canvas.height, canvas.width), np.uint8)
    cv2.fillPoly(drawn, [np.array(outline, dtype=np.int32)], (1,))
    for hole in holes:
        cv2.fillPoly(drawn, [np.array(hole, dtype=np.int32)], (0,))
    left, top, width, height = cv2.boundingRect(drawn)
    return int(left), int(top), drawn[top : top + height, left : left + width] > 0
