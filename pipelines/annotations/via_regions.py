"""VGG Image Annotator: the regions of one image, in pixels."""

import json
import math
from collections.abc import Mapping
from typing import Any

from pipelines.annotations.base import Annotation, AnnotationError, checked_label, finite
from pipelines.annotations.faults import Faults
from pipelines.annotations.shapes import Canvas, Shape, read_shapes


def read_via_shapes(annotation: Annotation, width: int, height: int, faults: Faults) -> list[Shape]:
    """Polygons, circles and ellipses with their inside; rectangles and lines as boxes.

    `annotation.content` is JSON: `name` (the image's), `objects` (an object each: `place`, where it is
    written; `shape`, VIA 2's `shape_attributes`; `label`, or null and `fault` why it has no class).

    Raises:
        AnnotationError: a region that can't be used, is a point or has no class.
    """
    content = json.loads(annotation.content)
    placed = [(f"{item['place']} of {content['name']}", item) for item in content["objects"]]
    return read_shapes(placed, _shape, annotation, (width, height), faults)


def _shape(item: Mapping[str, Any], canvas: Canvas) -> Shape:
    if item["label"] is None:
        raise AnnotationError(item["fault"])
    shape, label = item["shape"], checked_label(item["label"])
    kind = str(shape.get("name"))
    if kind == "rect":
        x, y, w, h = _numbers(shape, "x", "y", "width", "height")
        return canvas.box((x, y, x + w, y + h), label)
    if kind == "circle":
        x, y, radius = _numbers(shape, "cx", "cy", "r")
        return canvas.ellipse(x, y, radius, radius, 0.0, label)
    if kind == "ellipse":
        x, y, rx, ry = _numbers(shape, "cx", "cy", "rx", "ry")
        angle = math.degrees(finite(shape.get("theta") or 0))
        return canvas.ellipse(x, y, rx, ry, angle, label)
    if kind in {"polygon", "polyline"}:
        across, down = shape.get("all_points_x"), shape.get("all_points_y")
        if not isinstance(across, list) or not isinstance(down, list) or len(across) != len(down):
            raise AnnotationError("its points are no two lists of the same length")
        values = [value for pair in zip(across, down, strict=True) for value in pair]
        return canvas.polygon(values, label) if kind == "polygon" else canvas.line(values, label)
    raise AnnotationError(f"a region of the kind {kind[:20]!r} has no box")


def _numbers(shape: Mapping[str, Any], *names: str) -> list[float]:
    return [finite(shape.get(name)) for name in names]
