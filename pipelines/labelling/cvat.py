"""CVAT: `annotations.xml`, "CVAT for images 1.1", and `labels.json` for the project's constructor (Raw).

Scores are kept in the boxes' attribute `score`, which the labels of `labels.json` have.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from pipelines.labelling.base import Boxes, check_xml
from pipelines.labelling.new_files import NewFiles

SCORE = "score"


def write_cvat(boxes: Boxes, target: NewFiles) -> None:
    """Write annotations and labels.

    Raises:
        UserError: an image or class name that XML can't hold.
    """
    for name in boxes.classes:
        check_xml(name, "The class")
    with target.text("annotations.xml") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        with _element(xml, "annotations"):
            _text(xml, "version", "1.1")
            _meta(xml, boxes)
            for number, image in enumerate(boxes.images()):
                check_xml(image.name, "The image name")
                sides = {"width": str(image.width), "height": str(image.height)}
                with _element(xml, "image", id=str(number), name=image.name, **sides):
                    for box in image.boxes:
                        corners = dict(
                            zip(("xtl", "ytl", "xbr", "ybr"), map(_pixels, box.corners), strict=True)
                        )
                        about = {"label": box.label, "source": "auto", "occluded": "0"}
                        with _element(xml, "box", **about, **corners, z_order="0"):
                            _text(xml, "attribute", f"{box.score:.6g}", name=SCORE)
        file.write("\n")
    attribute = {"name": SCORE, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
    labels = [{"name": name, "type": "rectangle", "attributes": [attribute]} for name in boxes.classes]
    with target.text("labels.json") as file:
        file.write(json.dumps(labels, indent=2) + "\n")


def _meta(xml: XMLGenerator, boxes: Boxes) -> None:
    with _element(xml, "meta"), _element(xml, "task"):
        _text(xml, "size", str(boxes.count))
        _text(xml, "mode", "annotation")
        with _element(xml, "labels"):
            for name in boxes.classes:
                with _element(xml, "label"):
                    _text(xml, "name", name)
                    _text(xml, "type", "rectangle")
                    with _element(xml, "attributes"), _element(xml, "attribute"):
                        _text(xml, "name", SCORE)
                        _text(xml, "mutable", "False")
                        _text(xml, "input_type", "text")
                        _text(xml, "default_value", "")
                        _text(xml, "values", "")


def _pixels(value: float) -> str:
    return f"{value:.2f}"  # as CVAT writes them


@contextmanager
def _element(xml: XMLGenerator, tag: str, /, **attributes: str) -> Iterator[None]:
    xml.characters("\n")
    xml.startElement(tag, AttributesImpl(attributes))
    yield
    xml.endElement(tag)


def _text(xml: XMLGenerator, tag: str, text: str, /, **attributes: str) -> None:
    with _element(xml, tag, **attributes):
        xml.characters(text)
