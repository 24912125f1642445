"""YOLO: a data set that ultralytics trains on as it is.

images/NAME.jpg    links or copies
labels/NAME.txt    `class cx cy w h`, in shares of the image; a sixth column, the score, if asked for
data.yaml, classes.txt

The text lies where ultralytics looks for it: the *last* folder `images` of the image's path becomes `labels`.
"""

from pathlib import PurePosixPath

import yaml

from cluster.errors import UserError
from pipelines.boxes import yolo_line
from pipelines.labelling.base import Boxes
from pipelines.labelling.new_files import NewFiles

IMAGES, LABELS, CLASSES = "images", "labels", "classes.txt"


def write_yolo(boxes: Boxes, target: NewFiles, *, scores: bool) -> None:
    """Write labels and `data.yaml`.

    Args:
        boxes: the images.
        target: the folder.
        scores: whether every line gets a sixth column, which loaders for training refuse.

    Raises:
        UserError: two images that differ only in their ending; an image called `classes`.
    """
    number_of = {name: number for number, name in enumerate(boxes.classes)}
    for image in boxes.images():
        name = text_of(f"{IMAGES}/{image.name}")
        if PurePosixPath(name).name == CLASSES:
            raise UserError(f"{image.name} would have the label file {CLASSES}, which is taken; rename it.")
        lines = []
        for box in image.boxes:
            line = yolo_line(vars(box), image.width, image.height, number_of[box.label])
            lines.append(f"{line} {box.score:.6f}\n" if scores else f"{line}\n")
        target.write(name, "".join(lines), image.name)
    # ultralytics demands a validation set; the same images are no held-out set.
    document = {"train": IMAGES, "val": IMAGES, "names": dict(enumerate(boxes.classes))}
    with target.text("data.yaml") as file:
        yaml.safe_dump(document, file, sort_keys=False, allow_unicode=True)
    with target.text(CLASSES) as file:
        file.writelines(f"{name}\n" for name in boxes.classes)


def text_of(image: str) -> str:
    """The label file of an image's path in the folder."""
    parts = list(PurePosixPath(image).parts)
    last = max(place for place, part in enumerate(parts[:-1]) if part == IMAGES)
    return str(PurePosixPath(*parts[:last], LABELS, *parts[last + 1 :]).with_suffix(".txt"))
