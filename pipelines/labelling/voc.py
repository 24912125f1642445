"""Pascal VOC: an XML file an image, boxes in whole pixels counted from 1, both ends included. No scores.

JPEGImages/NAME.jpg     links or copies
Annotations/NAME.xml
"""

import math
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pipelines.labelling.base import BoxedImage, Boxes, check_xml
from pipelines.labelling.new_files import NewFiles
from pipelines.labelling.paths import with_suffix

IMAGES, ANNOTATIONS = "JPEGImages", "Annotations"


def write_voc(boxes: Boxes, target: NewFiles) -> None:
    """Write a file an image.

    Raises:
        UserError: two images that differ only in their ending; an image or class name that XML can't hold.
    """
    for name in boxes.classes:
        check_xml(name, "The class")
    for image in boxes.images():
        check_xml(image.name, "The image name")
        document = tostring(_document(image), encoding="unicode")
        target.write(f"{ANNOTATIONS}/{with_suffix(image.name, '.xml')}", f"{document}\n", image.name)


def _document(image: BoxedImage) -> Element:
    root = Element("annotation")
    _add(root, folder=IMAGES, filename=image.name)
    _add(SubElement(root, "size"), width=image.width, height=image.height, depth=3)
    _add(root, segmented=0)
    for box in image.boxes:
        item = SubElement(root, "object")
        _add(item, name=box.label, pose="Unspecified", truncated=0, difficult=0)
        (xmin, xmax), (ymin, ymax) = whole_pixels(box.x0, box.x1), whole_pixels(box.y0, box.y1)
        _add(SubElement(item, "bndbox"), xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
    indent(root)
    return root


def whole_pixels(low: float, high: float) -> tuple[int, int]:
    """First and last pixel of an interval, counted from 1; each end moves by half a pixel at most.

    An interval that no pixel's edge is near becomes the pixel that its middle lies in.
    """
    first, last = round(low) + 1, round(high)
    if last < first:
        first = last = math.floor((low + high) / 2) + 1
    return first, last


def _add(parent: Element, **texts: object) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)
