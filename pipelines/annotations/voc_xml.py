"""Pascal VOC: one XML file an image, boxes in whole pixels counted from 1, both ends included."""

import json
import re
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pipelines.annotations.base import (
    Annotation,
    AnnotationError,
    LabelledBox,
    Truth,
    checked_box,
    checked_count,
    checked_size,
    finite,
    turned_corners,
)
from pipelines.annotations.crowds import flag
from pipelines.annotations.faults import Faults
from pipelines.annotations.text_files import read_annotation

# Tags below the first level that only an object has.

SHAPES = frozenset({"bndbox", "robndbox", "polygon", "xmin", "ymin", "xmax", "ymax", "object"})


def read_voc(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The boxes of `object/bndbox`; (xmin, ymin, xmax, ymax) becomes (xmin − 1, ymin − 1, xmax, ymax).

    A box that CVAT turned has its angle, degrees clockwise, among its `attributes`.

    Objects that are `difficult` are ignored regions, as in VOC's protocol, where the source's `crowds` is
    `ignored`; otherwise they are objects, as those that published surfaces mark so (81 of NEU-DET's 4,189).
    `annotation.content` may be a JSON object: name in the file → class; other names are kept.

    Raises:
        AnnotationError: no XML of this form, entities or a DTD in it, another size, a box or name that
            can't be used.
    """
    (uri,) = annotation.files
    with read_annotation(uri) as data:
        try:
            root = fromstring(data, forbid_dtd=True)
        except DefusedXmlException:
            raise AnnotationError("it declares a DTD or entities, which are refused") from None
        except (ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
            raise AnnotationError(f"it is no XML ({error})") from None
        if root.tag != "annotation":
            raise AnnotationError(f"its first tag is {root.tag[:40]!r}, not 'annotation'")
        strange = next((part for part in root if part.tag != "object" and _has_shape(part)), None)
        if strange is not None:
            raise AnnotationError(f"its tag {strange.tag[:40]!r} holds a box and is no 'object'")
        size = root.find("size")
        if size is not None:
            sides = [size.findtext("width"), size.findtext("height")]
            if all(sides):
                checked_size((finite(sides[0]), finite(sides[1])), width, height)
        objects = root.findall("object")
        checked_count(len(objects))
        classes = json.loads(annotation.content) if annotation.content else {}
        lines = _object_lines(data, len(objects))
        boxes: list[LabelledBox] = []
        ignored: list[LabelledBox] = []
        for item, line in zip(objects, lines, strict=True):
            with faults.at(uri, line) as spot:
                name = item.findtext("name")
                mended = spot.mended if spot.clip else None
                difficult = flag(item.findtext("difficult"), "difficult")
                box = checked_box(_corners(item), classes.get(name, name), width, height, mended)
                left_out = difficult and annotation.crowds == "ignored"
                (ignored if left_out else boxes).append(box)
        return Truth(tuple(boxes), ignored=tuple(ignored))


def _has_shape(part: Element) -> bool:
    """Whether there is a box in it that `object` alone may hold: a misspelt object is no free image."""
    return any(inner.tag in SHAPES for inner in part.iter())


def _object_lines(data: bytes, count: int) -> list[int | None]:
    """The line where each object begins; None for all where the bytes don't show it (UTF-16, comments)."""
    starts = [match.start() for match in re.finditer(rb"<object[\s>]", data)]
    if len(starts) != count:
        return [None] * count
    return [data.count(b"\n", 0, start) + 1 for start in starts]


def _corners(item: Element) -> tuple[float, float, float, float]:
    box = item.find("bndbox")
    if box is None:
        raise AnnotationError("an object has no bndbox")
    xmin, ymin, xmax, ymax = (finite(box.findtext(side)) for side in ("xmin", "ymin", "xmax", "ymax"))
    corners = (xmin - 1, ymin - 1, xmax, ymax)
    turns = [one.findtext("value") for one in item.iter("attribute") if one.findtext("name") == "rotation"]
    angle = finite(turns[0]) if turns else 0.0
    return turned_corners(corners, angle) if angle else corners
