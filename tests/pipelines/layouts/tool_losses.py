"""Damages that lose a label, and those of labelling tools' exports."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def moved(name: str, other: str) -> Callable[[Path], None]:
    """The label file under a name that fits no image."""

    def damage(root: Path) -> None:
        (root / name).rename(root / other)

    return damage


def rewritten(name: str, text: str, other: str) -> Callable[[Path], None]:
    """Another text in the label file."""

    def damage(root: Path) -> None:
        content = (root / name).read_text()
        assert text in content
        (root / name).write_text(content.replace(text, other))

    return damage


@dataclass(frozen=True)
class Loss:
    """A damage of a clean tree.

    Attributes:
        tree: its name in `ALL_TREES`.
        damage: what loses the label.
        image: the image whose label is lost.
        tells: text of a row or line about it.
        doubted: images that are normal in the undamaged tree, but not after the loss.
    """

    tree: str
    damage: Callable[[Path], None]
    image: str
    tells: str
    doubted: tuple[str, ...] = ()


BOTH = "lists it 2 times"
TOOL_LOSSES = {
    "labelme: image name": Loss(
        "labelme", rewritten("json/seven.json", "7.jpg", "9.jpg"), "photos/7.jpg", "json/seven.json"
    ),
    "labelme: shapes": Loss(
        "labelme", rewritten("line/1.json", '"shapes"', '"shape"'), "line/1.jpg", "its shapes is no list"
    ),
    "labelme: shape": Loss("labelme", rewritten("line/1.json", "9.0", "null"), "line/1.jpg", "shape 1: "),
    "cvat: image name": Loss(
        "cvat",
        rewritten("task 2.xml", 'name="a.jpg"', 'name="z.jpg"'),
        "images/val/a.jpg",
        "task 2.xml lists it, but no such image",
    ),
    "cvat: shape": Loss(
        "cvat",
        rewritten("task 2.xml", 'xtl="2.00"', 'xtl="two"'),
        "images/val/a.jpg",
        "box 1 of a.jpg: 'two'",
    ),
    "cvat: tag of an image": Loss(
        "cvat",
        rewritten("task 2.xml", "image", "picture"),
        "images/val/a.jpg",
        "'picture' at place 3",
    ),
    "cvat_yolo: name": Loss(
        "cvat_yolo",
        moved("obj_train_data/1.txt", "obj_train_data/9.txt"),
        "obj_train_data/1.jpg",
        "obj_train_data/9.txt None it is the annotation of no image",
    ),
    "cvat_yolo: class": Loss(
        "cvat_yolo",
        rewritten("obj_train_data/1.txt", "0 0.275", "7 0.275"),
        "obj_train_data/1.jpg",
        "class 7 has no name",
    ),
    "label_studio: image name": Loss(
        "label_studio",
        rewritten("project-1.json", "1a2b3c4d-a%20b.jpg", "1a2b3c4d-z.jpg"),
        "images/1a2b3c4d-a b.jpg",
        "project-1.json lists it, but no such image",
    ),
    "label_studio: region": Loss(
        "label_studio",
        rewritten("project-1.json", '"rotation": 90', '"rotation": "x"'),
        "images/1a2b3c4d-a b.jpg",
        "region rrectangledent of task 1: 'x'",
    ),
    "label_studio: annotations of a task": Loss(
        "label_studio",
        rewritten("project-2.json", '"id": 8, "annotations"', '"id": 8, "notes"'),
        "images/h.jpg",
        "task 8: it has no annotations",
    ),
    "via: files that differ": Loss("via", rewritten("via_project.json", '"x": 2', '"x": 1'), "a.jpg", BOTH),
    "via: image name, CSV": Loss(
        "via, CSV",
        rewritten("via_region_data.csv", "a.jpg", "z.jpg"),
        "photos/a.jpg",
        "via_region_data.csv lists it, but no such image",
    ),
    "via: shape, CSV": Loss(
        "via, CSV",
        rewritten("via_region_data.csv", '""width"":7', '""width"":null'),
        "photos/a.jpg",
        "region 1 of a.jpg",
    ),
    "via: image name, VIA 3": Loss(
        "via 3", rewritten("steel.json", "a.jpg", "z.jpg"), "a.jpg", "steel.json lists it, but no such image"
    ),
    "via: shape, VIA 3": Loss(
        "via 3", rewritten("steel.json", "[2, 2, 3, 7, 5]", "[2, 2, 3, 7]"), "a.jpg", "region 1 of a.jpg"
    ),
    "via: image name, VIA 3, CSV": Loss(
        "via 3, CSV", rewritten("steel.csv", '""a.jpg""', '""z.jpg""'), "a.jpg", "steel.csv lists it, but no"
    ),
    "supervisely: name": Loss(
        "supervisely",
        moved("line/ann/1.jpg.json", "line/ann/9.jpg.json"),
        "line/img/1.jpg",
        "line/ann/9.jpg.json None it is the annotation of no image",
    ),
    "supervisely: object": Loss(
        "supervisely",
        rewritten("line/ann/1.jpg.json", "rectangle", "rectangel"),
        "line/img/1.jpg",
        "object 1: an object of the kind 'rectangel'",
    ),
    "datumaro: image name": Loss(
        "datumaro",
        rewritten("annotations/train.json", '"path": "a.jpg"', '"path": "z.jpg"'),
        "images/train/a.jpg",
        "train.json lists it, but no such image",
    ),
    "datumaro: label": Loss(
        "datumaro",
        rewritten("annotations/train.json", '"label_id": 0', '"label_id": 9'),
        "images/train/a.jpg",
        "annotation 1 of item a: its label 9 is not listed",
    ),
    "coco, of Roboflow: image id": Loss(
        "coco, of Roboflow",
        rewritten("train/_annotations.coco.json", '"image_id": 0', '"image_id": 9'),
        "train/a.jpg",
        "annotation 0: its image 9 is not listed",
        ("train/b.jpg",),
    ),
}
