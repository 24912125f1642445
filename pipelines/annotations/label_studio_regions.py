"""Label Studio: the regions of one annotation of a task, in percent of the image."""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.annotations.base import Annotation, AnnotationError, checked_size, finite, mapping
from pipelines.annotations.class_names import written_label
from pipelines.annotations.faults import Faults
from pipelines.annotations.label_studio_rle import mask_of_brush
from pipelines.annotations.shapes import Canvas, Shape, flat, read_shapes

BOX, ELLIPSE = ("x", "y", "width", "height"), ("x", "y", "radiusX", "radiusY")
DRAWN = {*BOX, *ELLIPSE, "rotation", "points", "rle"}


def read_label_studio_shapes(annotation: Annotation, width: int, height: int, faults: Faults) -> list[Shape]:
    """Polygons, ellipses and brushes with their inside; rectangles, also turned ones, as boxes.

    `annotation.content` is JSON: `task`, `regions` (a list of results each: those of one region, which
    say its shape, its class and more of it in turn; other shapes of the same id are a fault, not lost).

    A rectangle turns about its upper left corner, and in pixels: in percent it would be another one where the
    image is no square.

    Raises:
        AnnotationError: another size, a region that can't be used or has no box.
    """
    content = json.loads(annotation.content)
    placed = [
        (f"region {str(results[0].get('id'))[:40]} of task {content['task']}", results)
        for results in content["regions"]
    ]
    return read_shapes(placed, _shape, annotation, (width, height), faults)


def _shape(results: list[Mapping[str, Any]], canvas: Canvas) -> Shape:
    values: dict[str, Any] = {}
    labels: list[Any] = []
    for result in results:
        value = mapping(result.get("value"), "its value")
        if _drawn_apart(values, value):
            raise AnnotationError("several shapes share its id: give each one of its own")
        values |= value
        for name, part in value.items():
            if name.endswith("labels") and part:
                labels += part if isinstance(part, list) else [part]
        size = (result.get("original_width"), result.get("original_height"))
        if None not in size:
            checked_size((finite(size[0]), finite(size[1])), canvas.width, canvas.height)
        if result.get("image_rotation"):
            raise AnnotationError("it was drawn on a turned view of the image")
    names = list(dict.fromkeys(written_label(label) for label in labels))
    if len(names) != 1:
        raise AnnotationError(f"it has {len(names)} classes instead of one")
    return _drawn(values, names[0], canvas)


def _drawn_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results draw something else; those of one region repeat its shape, or say none."""
    first, second = DRAWN & one.keys(), DRAWN & other.keys()
    differ = any(one[name] != other[name] for name in first & second)
    return differ or not (first <= second or second <= first)


def _drawn(values: Mapping[str, Any], label: str, canvas: Canvas) -> Shape:
    across, down = canvas.width / 100, canvas.height / 100
    if "rle" in values:
        return canvas.pixels(mask_of_brush(values["rle"], canvas.width, canvas.height), 0, 0, label)
    if "points" in values:
        points = [finite(value) for value in flat(values["points"])]
        pixels = [value * (across, down)[place % 2] for place, value in enumerate(points)]
        return canvas.polygon(pixels, label)
    if all(name in values for name in ELLIPSE):
        x, y, rx, ry = (finite(values[name]) for name in ELLIPSE)
        angle = finite(values.get("rotation") or 0)
        return canvas.ellipse(x * across, y * down, rx * across, ry * down, angle, label)
    if all(name in values for name in BOX):
        x, y, w, h = (finite(values[name]) for name in BOX)
        x, y, w, h = x * across, y * down, w * across, h * down
        angle = finite(values.get("rotation") or 0)
        if angle == 0:
            return canvas.box((x, y, x + w, y + h), label)
        if w <= 0 or h <= 0:
            raise AnnotationError(f"a box of {w:g}×{h:g} pixels is empty")
        return canvas.around(canvas.turned(x, y, [(0, 0), (w, 0), (w, h), (0, h)], angle), label)
    kinds = ", ".join(sorted(values))[:60]
    raise AnnotationError(f"it is no rectangle, polygon, ellipse or brush ({kinds})")
