"""What a person does in a labelling tool, done to its files: boxes moved, removed and added."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

Corners = tuple[float, float, float, float]
MOVE, REMOVE, ADD = "move", "remove", "add"


@dataclass(frozen=True)
class Correction:
    """One change of one image's boxes.

    Attributes:
        kind: `move` or `remove`, of the image's first box, or `add`, after its last.
        corners: where the box is afterwards, whole pixels.
        label: the added box's class, one that the file names.
        width, height: the image's size, pixels.
    """

    kind: str
    corners: Corners
    label: str
    width: int
    height: int


Corrections = Mapping[str, Correction]  # by the image's name


def changed(items: list[Any], correction: Correction, moved: Any, added: Any) -> list[Any]:
    """The objects of one image after a correction; there is at least one before."""
    if correction.kind == REMOVE:
        return items[1:]
    return [moved, *items[1:]] if correction.kind == MOVE else [*items, added]


def correct_label_studio(folder: Path, corrections: Corrections) -> None:
    """As *Submit* of every task makes annotations of predictions, and *Export* as JSON writes them."""
    tasks = json.loads((folder / "tasks.json").read_text())
    exported = []
    for number, task in enumerate(tasks, start=1):
        (prediction,) = task["predictions"]
        results = prediction["result"]
        change = corrections.get(task["data"]["name"])
        if change is not None:
            x0, y0, x1, y1 = change.corners
            place = {
                "x": 100 * x0 / change.width,
                "y": 100 * y0 / change.height,
                "width": 100 * (x1 - x0) / change.width,
                "height": 100 * (y1 - y0) / change.height,
                "rotation": 0,
            }
            fresh = {
                "id": "aB3dE",
                "type": "rectanglelabels",
                "from_name": "label",
                "to_name": "image",
                "origin": "manual",
                "original_width": change.width,
                "original_height": change.height,
                "image_rotation": 0,
                "value": {**place, "rectanglelabels": [change.label]},
            }
            moved = {**results[0], "value": {**results[0]["value"], **place}}
            results = changed(results, change, moved, fresh)
        annotation = {"id": number, "was_cancelled": False, "ground_truth": False, "result": results}
        exported.append({"id": number, "annotations": [annotation], "predictions": [], "data": task["data"]})
    (folder / "tasks.json").write_text(json.dumps(exported))


def correct_cvat(folder: Path, corrections: Corrections) -> None:
    """The boxes of `image` elements; an added one has no score."""
    path = folder / "annotations.xml"
    tree = ElementTree.parse(path)
    for image in tree.getroot().iter("image"):
        change = corrections.get(image.attrib["name"])
        if change is None:
            continue
        texts = (f"{side:.2f}" for side in change.corners)
        corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), texts, strict=True))
        if change.kind == ADD:
            about = {"label": change.label, "source": "manual", "occluded": "0", **corners, "z_order": "0"}
            ElementTree.SubElement(image, "box", about)
            continue
        first = image.findall("box")[0]
        if change.kind == REMOVE:
            image.remove(first)
        else:
            first.attrib.update(corners)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def correct_labelme(folder: Path, corrections: Corrections) -> None:
    """The shapes of the file beside each image; LabelMe keeps corners in any order."""
    for name, change in corrections.items():
        path = (folder / name).with_suffix(".json")
        document = json.loads(path.read_text())
        x0, y0, x1, y1 = change.corners
        points = [[x1, y0], [x0, y1]]
        shape: dict[str, Any] = {"label": change.label, "points": points, "shape_type": "rectangle"}
        moved = {**document["shapes"][0], "points": points}
        document["shapes"] = changed(document["shapes"], change, moved, {**shape, "flags": {}})
        path.write_text(json.dumps(document))


def correct_coco(folder: Path, corrections: Corrections) -> None:
    """The annotations of one file."""
    path = folder / "coco.json"
    document = json.loads(path.read_text())
    category_of = {category["name"]: category["id"] for category in document["categories"]}
    by_image: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in document["images"]}
    for item in document["annotations"]:
        by_image[item["image_id"]].append(item)
    for image in document["images"]:
        change = corrections.get(image["file_name"])
        if change is None:
            continue
        x0, y0, x1, y1 = change.corners
        box = [x0, y0, x1 - x0, y1 - y0]
        added = {"id": 10**6 + image["id"], "image_id": image["id"], "bbox": box, "iscrowd": 0}
        added |= {"area": box[2] * box[3], "category_id": category_of[change.label]}
        items = by_image[image["id"]]
        by_image[image["id"]] = changed(items, change, {**items[0], "bbox": box}, added)
    document["annotations"] = [item for items in by_image.values() for item in items]
    path.write_text(json.dumps(document))


def correct_yolo(folder: Path, corrections: Corrections) -> None:
    """The lines of each text."""
    classes = (folder / "classes.txt").read_text().splitlines()
    for name, change in corrections.items():
        path = (folder / "labels" / name).with_suffix(".txt")
        x0, y0, x1, y1 = change.corners
        shares = [(x0 + x1) / 2 / change.width, (y0 + y1) / 2 / change.height]
        shares += [(x1 - x0) / change.width, (y1 - y0) / change.height]
        text = " ".join(f"{share:.6f}" for share in shares)
        lines = path.read_text().splitlines()
        moved = f"{lines[0].split()[0]} {text}"
        lines = changed(lines, change, moved, f"{classes.index(change.label)} {text}")
        path.write_text("".join(f"{line}\n" for line in lines))


def correct_voc(folder: Path, corrections: Corrections) -> None:
    """The objects of each XML file, counted from 1."""
    for name, change in corrections.items():
        path = (folder / "Annotations" / name).with_suffix(".xml")
        tree = ElementTree.parse(path)
        root = tree.getroot()
        if change.kind == REMOVE:
            root.remove(root.findall("object")[0])
        else:
            moved = change.kind == MOVE
            item = root.findall("object")[0] if moved else ElementTree.SubElement(root, "object")
            if change.kind == ADD:
                ElementTree.SubElement(item, "name").text = change.label
            for old in item.findall("bndbox"):
                item.remove(old)
            box = ElementTree.SubElement(item, "bndbox")
            for side, value in zip(("xmin", "ymin", "xmax", "ymax"), change.corners, strict=True):
                ElementTree.SubElement(box, side).text = str(round(value) + side.endswith("min"))
        tree.write(path, encoding="utf-8")


CORRECTORS: dict[str, Callable[[Path, Corrections], None]] = {
    "label-studio": correct_label_studio,
    "cvat": correct_cvat,
    "labelme": correct_labelme,
    "coco": correct_coco,
    "yolo": correct_yolo,
    "voc": correct_voc,
}
