"""LabelMe: a JSON file beside each image, which it names; the image itself is not in it.

Scores stand in each shape's `description`, which LabelMe shows, and in `score`, which it keeps.
"""

import json
from typing import Any

from cluster.errors import UserError
from pipelines.labelling.base import Boxes
from pipelines.labelling.new_files import NewFiles
from pipelines.labelling.paths import beside, with_suffix

VERSION = "5.5.0"  # of the format; LabelMe 5 and 6 read it


def write_labelme(boxes: Boxes, target: NewFiles, *, with_images: bool) -> None:
    """Write a file an image.

    Args:
        boxes: the images.
        target: the folder.
        with_images: whether the images lie in the folder too; otherwise the files lead to where they are.

    Raises:
        UserError: two images that differ only in their ending; a name with a backslash, which LabelMe takes
            for a folder's end; a remote image that is not in the folder.
    """
    for image in boxes.images():
        if "\\" in image.name:
            raise UserError(
                f"{image.name} has a backslash, which LabelMe takes for a folder's end; rename the image."
            )
        name = with_suffix(image.name, ".json")
        document: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "shapes": [
                {
                    "label": box.label,
                    "points": [[box.x0, box.y0], [box.x1, box.y1]],
                    "group_id": None,
                    "description": f"score {box.score:.3f}",
                    "shape_type": "rectangle",
                    "flags": {},
                    "mask": None,
                    "score": box.score,
                }
                for box in image.boxes
            ],
            "imagePath": beside(target.folder, name, image, with_images=with_images),
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
        target.write(name, json.dumps(document, indent=2) + "\n", image.name)
