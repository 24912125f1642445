"""COCO: `coco.json`, detection JSON with a `score` in every annotation, names relative to the file."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from pipelines.boxes import coco_annotation
from pipelines.labelling.base import Boxes
from pipelines.labelling.new_files import NewFiles


def write_coco(boxes: Boxes, target: NewFiles) -> None:
    """Write the file, row by row; ids are counted from 1."""
    number_of = {name: number for number, name in enumerate(boxes.classes, start=1)}
    with target.text("coco.json") as file:
        file.write('{"images": [')
        _rows(file, _images(boxes))
        file.write('], "annotations": [')
        _rows(file, _annotations(boxes, number_of))
        categories = [{"id": number, "name": name} for name, number in number_of.items()]
        file.write(f'], "categories": {json.dumps(categories)}}}\n')


def _images(boxes: Boxes) -> Iterator[dict[str, Any]]:
    for number, image in enumerate(boxes.images(), start=1):
        about = {"id": number, "file_name": image.name, "width": image.width, "height": image.height}
        yield about if image.category is None else {**about, "category": image.category}


def _annotations(boxes: Boxes, number_of: dict[str, int]) -> Iterator[dict[str, Any]]:
    count = 0
    for number, image in enumerate(boxes.images(), start=1):
        for box in image.boxes:
            count += 1
            yield coco_annotation(vars(box), count, image=number, category=number_of[box.label])


def _rows(file: TextIO, rows: Iterable[dict[str, Any]]) -> None:
    for place, row in enumerate(rows):
        file.write(f"{',' if place else ''}\n{json.dumps(row)}")
