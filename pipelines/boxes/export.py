"""Pseudo-boxes as COCO JSON and as a YOLO data set that ultralytics trains on as it is."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.boxes.outlines import Outlines, segmentation
from pipelines.images import read_bytes

CLASS_NAME = "anomaly"
Row = Mapping[str, Any]


def coco_document(
    rows: Sequence[Row],
    classes: Sequence[str] = (CLASS_NAME,),
    masks: Outlines = "none",
) -> dict[str, Any]:
    """COCO detection JSON of the boxes table; `file_name` is the image's URI, ids are counted from 1.

    Args:
        rows: rows of the boxes table, or predictions, whose boxes name their class as `label`.
        classes: class names in the order of their ids.
        masks: how the rows' `masks`, run-length text by box, become each `segmentation`.
    """
    return {
        "images": list(_images(rows)),
        "annotations": list(_annotations(rows, classes, masks)),
        "categories": _categories(classes),
    }


def write_coco(
    target: Storage, name: str, rows: Callable[[], Iterable[Row]], masks: Outlines = "none"
) -> None:
    """Write `coco_document` of one class as `Storage.write_json` would, without holding it.

    Args:
        target, name: the file.
        rows: function that goes through the rows from the first on.
        masks: see `coco_document`.
    """
    lists = {
        "annotations": _annotations(rows(), (CLASS_NAME,), masks),
        "categories": _categories((CLASS_NAME,)),
        "images": _images(rows()),
    }
    with target.writing(name) as file:
        for place, (key, items) in enumerate(lists.items()):
            file.write(f'{"," if place else "{"}\n  "{key}": ['.encode())
            end = "]"
            for item in items:
                lines = json.dumps(item, indent=2, sort_keys=True).replace("\n", "\n    ")
                file.write(f"{',' if end != ']' else ''}\n    {lines}".encode())
                end = "\n  ]"
            file.write(end.encode())
        file.write(b"\n}\n")


def _images(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, start=1):
        yield {
            "id": number,
            "file_name": row["uri"],
            "width": row["width"],
            "height": row["height"],
            **{name: row[name] for name in ("image_id", "category") if name in row},
        }


def _annotations(rows: Iterable[Row], classes: Sequence[str], masks: Outlines) -> Iterator[dict[str, Any]]:
    number_of = {name: number for number, name in enumerate(classes, start=1)}
    ids = count(1)
    for number, row in enumerate(rows, start=1):
        for place, box in enumerate(row["boxes"]):
            category = number_of[box.get("label", classes[0])]
            annotation = coco_annotation(box, next(ids), image=number, category=category)
            if masks != "none":
                shape, area = segmentation(row["masks"][place], row["width"], row["height"], masks)
                annotation |= {"segmentation": shape, "area": area}
            yield annotation


def _categories(classes: Sequence[str]) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]


def coco_annotation(box: Mapping[str, Any], number: int, *, image: int, category: int) -> dict[str, Any]:
    """COCO's annotation of a scored box.

    Args:
        box: its sides and `score`.
        number, image, category: ids of the annotation, its image and its class.
    """
    width, height = box["x1"] - box["x0"], box["y1"] - box["y0"]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [box["x0"], box["y0"], width, height],
        "area": width * height,
        "iscrowd": 0,
        "score": box["score"],
    }


def yolo_line(box: Mapping[str, Any], width: int, height: int, number: int = 0) -> str:
    """`class cx cy w h`, normalised to the image; `number` is the class."""
    cx, cy = (box["x0"] + box["x1"]) / 2 / width, (box["y0"] + box["y1"]) / 2 / height
    w, h = (box["x1"] - box["x0"]) / width, (box["y1"] - box["y0"]) / height
    return f"{number} {cx:.6f} {cy:.6f} {w:.6f} {h:.6f}"


def write_yolo(target: Storage, rows: Callable[[], Iterable[Row]]) -> None:
    """Write `images/train`, `labels/train` and `data.yaml` below `target`.

    Local images are linked; remote ones are copied, since ultralytics opens only local files. Every hundredth
    image is also listed for validation, which ultralytics demands; this is no held-out set.

    Args:
        target: the data set's folder.
        rows: function that goes through the rows of the boxes table from the first on.
    """
    target.write_many((f"labels/train/{row['image_id']}.txt", partial(_labels, row)) for row in rows())
    for row in rows():
        if _is_linked(target, row):
            _link(target, f"images/train/{_name(row)}", row["uri"])
    remote = (row for row in rows() if not _is_linked(target, row))
    target.write_many((f"images/train/{_name(row)}", partial(read_bytes, row["uri"])) for row in remote)
    for file, step in (("train.txt", 1), ("val.txt", 100)):
        with target.writing(file) as listed:
            for row in islice(rows(), 0, None, step):
                listed.write(f"./images/train/{_name(row)}\n".encode())
    document = {"train": "train.txt", "val": "val.txt", "names": {0: CLASS_NAME}}
    if target.is_local:  # a copy of a remote one is found beside its data.yaml
        document = {"path": target.path, **document}
    target.write("data.yaml", yaml.safe_dump(document, sort_keys=False).encode())


def _name(row: Row) -> str:
    return f"{row['image_id']}{PurePosixPath(row['uri']).suffix.lower()}"


def _is_linked(target: Storage, row: Row) -> bool:
    return target.is_local and "://" not in row["uri"]


def _labels(row: Mapping[str, Any]) -> bytes:
    return "".join(f"{yolo_line(box, row['width'], row['height'])}\n" for box in row["boxes"]).encode()


def _link(target: Storage, name: str, source: str) -> None:
    link = Path(target.path) / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(Path(source).absolute())
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"The YOLO export can't link images in {target.uri} ({reason}); choose a workspace whose file "
            "system has symbolic links, or set boxes.export_yolo=false."
        ) from None
