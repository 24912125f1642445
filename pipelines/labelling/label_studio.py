"""Label Studio: tasks with predictions, and the labelling config that fits.

tasks.json     or tasks-001.json, tasks-002.json, … of 10,000 images, as Label Studio takes 250 MB at once
config.xml     for the project's labelling interface

Boxes are percentages of the image. Scores stand with every box and, the best of them, with the prediction,
by which Label Studio orders tasks.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, TextIO
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pipelines.labelling.base import BoxedImage, Boxes, ScoredBox, check_xml
from pipelines.labelling.new_files import NewFiles

PART = 10_000
TO_NAME, FROM_NAME, KIND = "image", "label", "rectanglelabels"


def write_label_studio(boxes: Boxes, target: NewFiles, *, url: str) -> None:
    """Write tasks and config.

    Args:
        boxes: the images.
        target: the folder.
        url: what stands before an image's quoted name in `data.image`; a `/` comes between them unless it
            ends with one or with `=`.

    Raises:
        UserError: a class name that XML can't hold.
    """
    for name in boxes.classes:
        check_xml(name, "The class")
    prefix = url if url.endswith(("/", "=")) else f"{url}/"
    images, parts = boxes.images(), max(1, -(-boxes.count // PART))
    for number in range(1, parts + 1):
        with target.text("tasks.json" if parts == 1 else f"tasks-{number:03d}.json") as file:
            _tasks(file, islice(images, PART), boxes.model, prefix)
    target.write("config.xml", _config(boxes.classes))


def _tasks(file: TextIO, images: Iterator[BoxedImage], model: str, url: str) -> None:
    file.write("[")
    for place, image in enumerate(images):
        task: dict[str, Any] = {"data": {"image": url + quote(image.name), "name": image.name}}
        if image.category is not None:
            task["data"]["category"] = image.category
        results = [_result(image, box, number) for number, box in enumerate(image.boxes, start=1)]
        prediction: dict[str, Any] = {"model_version": model, "result": results}
        if image.boxes:
            prediction["score"] = max(box.score for box in image.boxes)
        file.write(f"{',' if place else ''}\n{json.dumps({**task, 'predictions': [prediction]})}")
    file.write("\n]\n")


def _result(image: BoxedImage, box: ScoredBox, number: int) -> dict[str, Any]:
    return {
        "id": f"box-{number}",
        "type": KIND,
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "score": box.score,
        "value": {
            "x": 100 * box.x0 / image.width,
            "y": 100 * box.y0 / image.height,
            "width": 100 * (box.x1 - box.x0) / image.width,
            "height": 100 * (box.y1 - box.y0) / image.height,
            "rotation": 0,
            KIND: [box.label],
        },
    }


def _config(classes: tuple[str, ...]) -> str:
    view = Element("View")
    SubElement(view, "Image", name=TO_NAME, value=f"${TO_NAME}", zoom="true")
    labels = SubElement(view, "RectangleLabels", name=FROM_NAME, toName=TO_NAME)
    for name in classes:
        SubElement(labels, "Label", value=name)
    indent(view)
    return tostring(view, encoding="unicode") + "\n"
