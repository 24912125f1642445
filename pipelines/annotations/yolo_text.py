"""YOLO: a text file an image, lines of `class x y width height` or `class x0 y0 x1 y1 …`, in shares of it."""

import json
from collections.abc import Iterator

from pipelines.annotations.base import (
    Annotation,
    AnnotationError,
    LabelledBox,
    Mask,
    Truth,
    checked_box,
    checked_count,
    finite,
)
from pipelines.annotations.faults import Faults
from pipelines.annotations.polygons import Polygon, checked_polygon, drawn_polygons, mask_of_polygons
from pipelines.annotations.text_files import read_annotation


def read_yolo(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """Boxes around centres, or polygons; a mask where every line is a polygon.

    `annotation.content` is a JSON list of class names, or empty, where a class is called by its number; or an
    object of `names` (the list, or null) and `keypoints`, how many numbers of key points follow a box. Key
    points are passed over.

    A file without lines says that there is no defect: background, as training tools take it.

    Raises:
        AnnotationError: a line that is neither, a class without a name, a shape outside the image.
    """
    shapes = _shapes(annotation, width, height, faults)
    polygons = [polygon for _, outlines in shapes for polygon in outlines]
    whole = bool(polygons) and all(outlines for _, outlines in shapes)
    boxes = tuple(box for box, _ in shapes)
    with read_annotation(annotation.files[0]):  # so that errors of the polygons' masks name the file
        return Truth(boxes, mask_of_polygons(polygons, width, height) if whole else None)


def read_yolo_shapes(
    annotation: Annotation, width: int, height: int, faults: Faults
) -> Iterator[tuple[LabelledBox, Mask | None]]:
    """Every line's box, and the mask of a polygon; see `read_yolo`."""
    for box, outlines in _shapes(annotation, width, height, faults):
        yield box, mask_of_polygons(outlines, width, height) if outlines else None


def _shapes(
    annotation: Annotation, width: int, height: int, faults: Faults
) -> list[tuple[LabelledBox, list[Polygon]]]:
    """Every line's box, and its outlines; none where the line is a box."""
    (uri,) = annotation.files
    content = json.loads(annotation.content) if annotation.content else None
    names, keypoints = (content["names"], content["keypoints"]) if isinstance(content, dict) else (content, 0)
    shapes: list[tuple[LabelledBox, list[Polygon]]] = []
    with read_annotation(uri) as data:
        try:
            lines = [line.split() for line in data.decode("utf-8-sig").splitlines()]
        except UnicodeDecodeError:
            raise AnnotationError("it is no UTF-8 text") from None
        rows = [(number, words) for number, words in enumerate(lines, start=1) if words]
        checked_count(len(rows))
        for number, words in rows:
            with faults.at(uri, number) as spot:
                mended = spot.mended if spot.clip else None
                label = _name(words[0], names)
                outlines: list[Polygon] = []
                if len(words) in {5, 5 + keypoints}:
                    x, y, w, h = (finite(word) for word in words[1:5])
                    corners = (
                        (x - w / 2) * width,
                        (y - h / 2) * height,
                        (x + w / 2) * width,
                        (y + h / 2) * height,
                    )
                else:
                    shares = [finite(word) for word in words[1:]]
                    pixels = [share * (width, height)[place % 2] for place, share in enumerate(shares)]
                    points = checked_polygon(pixels, width, height, mended)
                    outlines = drawn_polygons([points], width, height, mended)
                    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
                    corners = x0, y0, x1, y1
                shapes.append((checked_box(corners, label, width, height, mended), outlines))
    return shapes


def _name(word: str, names: list[str] | None) -> str:
    if not (word.isascii() and word.isdigit() and len(word) < 7):
        raise AnnotationError(f"{word[:40]!r} is no class number")
    if names is None:
        return str(int(word))
    if int(word) >= len(names):
        raise AnnotationError(f"class {int(word)} has no name; there are {len(names)}")
    return names[int(word)]
