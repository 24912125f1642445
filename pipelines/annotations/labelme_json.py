"""LabelMe: a JSON file an image, its shapes as points in pixels, drawn masks as PNG within the text."""

import json
import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import pyarrow.fs as pafs

from cluster.storage import locate
from pipelines.annotations.base import Annotation, AnnotationError, checked_size, finite, mapping
from pipelines.annotations.class_names import written_label
from pipelines.annotations.faults import Faults, LabelFault
from pipelines.annotations.json_files import read_json, rows_of
from pipelines.annotations.png_masks import png_mask
from pipelines.annotations.shapes import Canvas, Shape, flat, group_number, points_of, read_shapes

MAX_NAME = 255


def read_labelme_shapes(annotation: Annotation, width: int, height: int, faults: Faults) -> list[Shape]:
    """Polygons, circles and masks with their inside; rectangles, turned ones and lines as boxes.

    Shapes of one class and `group_id` are one object.

    `annotation.content` is JSON: `normal`, names in lower case: an image without shapes is normal unless a
    flag of another name is set on it; `image`, the image's name where the file lies beside it. If it names
    another that lies there too, nobody can tell which it is for; if that one is gone, both were renamed.

    Raises:
        AnnotationError: no LabelMe file, another size or image; a shape of one point; flags that say
            something of an image without shapes.
    """
    (uri,) = annotation.files
    document = read_json(uri)
    about: Mapping[str, Any] = json.loads(annotation.content) if annotation.content else {}
    _check_image(document.get("imagePath"), about.get("image"), uri, faults)
    with faults.at(uri):
        size = (document.get("imageWidth"), document.get("imageHeight"))
        if None not in size:
            checked_size((finite(size[0]), finite(size[1])), width, height)
    items = rows_of(document, "shapes")
    placed = [(f"shape {number}", item) for number, item in enumerate(items, start=1)]
    shapes = read_shapes(placed, _shape, annotation, (width, height), faults, _group)
    if not items:
        flags = document.get("flags") or {}
        known = set(about.get("normal", ()))
        said = [str(name)[:40] for name, value in mapping(flags, "flags").items() if value]
        if any(name.lower() not in known for name in said):
            raise AnnotationError(
                f"it has no shapes, and its flag {said[0]!r} may mean a defect; name flags of images without "
                f"defects {', '.join(sorted(known))}"
            )
    return shapes


def _check_image(named: object, own: str | None, uri: str, faults: Faults) -> None:
    """Whether a file that lies beside an image is for it; `uri` is the file's."""
    name = PurePosixPath(str(named or "").replace("\\", "/")).name
    if not name.isprintable() or len(name) > MAX_NAME:
        raise AnnotationError("its imagePath is no file's name")
    if own is None or PurePosixPath(name).stem in {"", PurePosixPath(own).stem}:
        return
    reason = f"it lies beside {own[:100]}, but its imagePath names {name[:100]}"
    filesystem, path = locate(uri)
    # Names alone are looked up, in the file's own folder.
    other = filesystem.get_file_info(str(PurePosixPath(path).with_name(name)))
    if other.type != pafs.FileType.NotFound:
        raise AnnotationError(f"{reason}, which lies there too")
    faults.found.append(LabelFault(uri, None, f"{reason}, which is not there: taken as renamed", mended=True))


def _group(item: Mapping[str, Any]) -> int | None:
    return group_number(item.get("group_id"))


def _shape(item: Mapping[str, Any], canvas: Canvas) -> Shape:
    label, kind = written_label(item.get("label")), str(item.get("shape_type") or "polygon")
    values = flat(item.get("points"))
    if kind == "polygon":
        return canvas.polygon(values, label)
    if kind in {"line", "linestrip"}:
        return canvas.line(values, label)
    if kind in {"oriented_rectangle", "rotation"} or (kind == "rectangle" and len(values) == 8):
        return canvas.around(points_of(values, least=4), label)  # the last two are X-AnyLabeling's
    if kind in {"rectangle", "circle", "mask"}:
        if len(values) != 4:
            raise AnnotationError(f"a {kind} has two points")
        x0, y0, x1, y1 = (finite(value) for value in values)
        if kind == "rectangle":
            return canvas.box((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), label)
        if kind == "circle":  # its centre and a point on it
            radius = math.dist((x0, y0), (x1, y1))
            return canvas.ellipse(x0, y0, radius, radius, 0.0, label)
        mask = png_mask(item.get("mask"), canvas.width, canvas.height)
        wanted = (int(y1) - int(y0) + 1, int(x1) - int(x0) + 1)  # both corners are pixels of the mask
        if mask.shape != wanted:
            raise AnnotationError(
                f"its mask has {mask.shape[1]}×{mask.shape[0]} pixels, "
                f"its corners say {wanted[1]}×{wanted[0]}"
            )
        return canvas.pixels(mask, int(x0), int(y0), label)
    raise AnnotationError(f"a shape of the kind {kind[:20]!r} has no box")
