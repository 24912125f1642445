"""Read corrected files by the labelling tools' own packages, in their environment, without ours.

Arguments: format, folder. The last line on stdout is JSON: boxes by the image's name, each x0, y0, x1, y1 and
class, in the file's order.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

Found = dict[str, list[tuple[float, float, float, float, str]]]


def label_studio(folder: Path) -> Found:
    """The SDK's converter, from JSON to COCO; it looks images up as Label Studio serves them."""
    os.environ["LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED"] = "true"
    os.environ["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] = str(folder)
    os.environ["LOCAL_FILES_DOCUMENT_ROOT"] = str(folder)
    from label_studio_sdk.converter import Converter  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory() as target:
        converter = Converter((folder / "config.xml").read_text(), str(folder), download_resources=False)
        converter.convert_to_coco(
            str(folder / "tasks.json"), target, output_image_dir=f"{target}/images", is_dir=False
        )
        document = json.loads((Path(target) / "result.json").read_text())
        return coco_boxes(document, lambda name: os.path.relpath(Path(target) / name, folder))


def cvat(folder: Path) -> Found:
    """Datumaro, which looks for the images in `images`, as CVAT exports them."""
    from datumaro import AnnotationType, Dataset  # type: ignore[import-not-found, unused-ignore]

    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "images").symlink_to(folder)
        path = Path(home) / "annotations.xml"
        path.write_bytes((folder / "annotations.xml").read_bytes())
        data = Dataset.import_from(str(path), "cvat")
        labels = data.categories()[AnnotationType.label]
        found: Found = {}
        for item in data:
            boxes = [one for one in item.annotations if one.type == AnnotationType.bbox]
            name = os.path.relpath(item.media.path, f"{home}/images")
            found[name] = [(*map(float, one.points), labels[one.label].name) for one in boxes]
    return found


def labelme(folder: Path) -> Found:
    """LabelMe's own reader, which opens the image that the file names and compares the sizes."""
    from labelme._label_file import read_label_file  # type: ignore[import-not-found, unused-ignore]

    found: Found = {}
    for path in sorted(folder.rglob("*.json")):
        data = read_label_file(str(path))
        name = os.path.relpath(path.parent / data.image_path, folder)
        found[name] = [(*corners(shape["points"]), shape["label"]) for shape in data.shapes]
    return found


def corners(points: list[list[float]]) -> tuple[float, float, float, float]:
    """The box of a rectangle's two corners."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def coco(folder: Path) -> Found:
    """pycocotools."""
    from pycocotools.coco import COCO

    return coco_boxes(COCO(str(folder / "coco.json")).dataset, str)


def coco_boxes(document: Any, named: Any) -> Found:
    """The boxes of a COCO document by image."""
    names = {image["id"]: named(image["file_name"]) for image in document["images"]}
    classes = {category["id"]: category["name"] for category in document["categories"]}
    found: Found = {name: [] for name in names.values()}
    for item in document["annotations"]:
        x, y, width, height = item["bbox"]
        box = (x, y, x + width, y + height, classes[item["category_id"]])
        found[names[item["image_id"]]].append(box)
    return found


def yolo(folder: Path) -> Found:
    """supervision, which knows images of one folder alone."""
    from supervision import DetectionDataset  # type: ignore[import-not-found, unused-ignore]

    images, labels = str(folder / "images"), str(folder / "labels")
    return detections(DetectionDataset.from_yolo(images, labels, str(folder / "data.yaml")))


def voc(folder: Path) -> Found:
    """supervision, which knows images of one folder alone."""
    from supervision import DetectionDataset

    return detections(
        DetectionDataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    )


def detections(data: Any) -> Found:
    """The boxes of a data set of supervision's."""
    return {
        Path(path).name: [
            (*map(float, box), data.classes[number])
            for box, number in zip(found.xyxy, found.class_id, strict=True)
        ]
        for path, _, found in data
    }


READERS = {
    "label-studio": label_studio,
    "cvat": cvat,
    "labelme": labelme,
    "coco": coco,
    "yolo": yolo,
    "voc": voc,
}

if __name__ == "__main__":
    found = READERS[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps(found))
