"""Generated surfaces with boxes, as samples of ours and as a YOLO data set of the same files."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

from pipelines.annotations import boxes_of_mask
from pipelines.surfaces import generate
from training.detection import Sample
from training.models import Image


@dataclass(frozen=True)
class LabelledSurfaces:
    """Images on disk.

    Attributes:
        classes: names in label order.
        train, val: the images, all with boxes.
        yaml: the YOLO data set's YAML file.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    yaml: Path


def write_surfaces(
    folder: Path, *, seed: int, categories: tuple[str, ...], size: int, train: int, val: int
) -> LabelledSurfaces:
    """Draw defective surfaces of the categories in turn; the class of a box is its defect."""
    drawn: list[tuple[Image, str, list[tuple[float, float, float, float]]]] = []
    index = 0
    while len(drawn) < train + val:
        sample = generate(seed, index, size=size, category=categories[index % len(categories)])
        index += 1
        if sample.defect is not None and (boxes := boxes_of_mask(sample.mask)):
            drawn.append((sample.image, sample.defect, boxes))
    classes = tuple(sorted({defect for _, defect, _ in drawn}))
    parts: dict[str, list[Sample]] = {"train": [], "val": []}
    for number, (image, defect, boxes) in enumerate(drawn):
        part, label = ("train" if number < train else "val"), classes.index(defect)
        path = folder / "images" / part / f"{number:04d}.png"
        text = folder / "labels" / part / f"{number:04d}.txt"
        for file in (path, text):
            file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image[..., ::-1])
        lines = [
            f"{label} {(x0 + x1) / 2 / size} {(y0 + y1) / 2 / size} {(x1 - x0) / size} {(y1 - y0) / size}"
            for x0, y0, x1, y1 in boxes
        ]
        text.write_text("\n".join(lines) + "\n")
        corners = np.array(boxes, dtype=np.float64)
        labels = np.full(len(corners), label, dtype=np.int64)
        parts[part].append(Sample(f"{number:04d}", str(path), size, size, corners, labels))
    document = {"path": str(folder), "train": "images/train", "val": "images/val", "names": list(classes)}
    (folder / "data.yaml").write_text(yaml.safe_dump(document))
    return LabelledSurfaces(classes, tuple(parts["train"]), tuple(parts["val"]), folder / "data.yaml")
