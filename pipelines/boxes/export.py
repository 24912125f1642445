"""Pseudo-boxes as COCO JSON and as a YOLO data set that ultralytics trains on as it is."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.boxes.outlines import Outlines, segmentation
from pipelines.images import read_bytes

CLASS_NAME = "anomaly"


def coco_document(
    rows: Sequence[Mapping[str, Any]],
    classes: Sequence[str] = (CLASS_NAME,),
    masks: Outlines = "none",
) -> dict[str, Any]:
    """COCO detection JSON of the boxes table; `file_name` is the image's URI, ids are counted from 1.

    Args:
        rows: rows of the boxes table, or predictions, whose boxes name their class as `label`.
        classes: class names in the order of their ids.
        masks: how the rows' `masks`, run-length text by box, become each `segmentation`.
    """
    number_of = {name: number for number, name in enumerate(classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(rows, start=1):
        images.append(
            {
                "id": number,
                "file_name": row["uri"],
                "width": row["width"],
                "height": row["height"],
                **{name: row[name] for name in ("image_id", "category") if name in row},
            }
        )
        for place, box in enumerate(row["boxes"]):
            category = number_of[box.get("label", classes[0])]
            annotations.append(coco_annotation(box, len(annotations) + 1, image=number, category=category))
            if masks != "none":
                shape, area = segmentation(row["masks"][place], row["width"], row["height"], masks)
                annotations[-1] |= {"segmentation": shape, "area": area}
    categories = [{"id": number, "name": name} for name, number in number_of.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


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


def write_yolo(target: Storage, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `images/train`, `labels/train` and `data.yaml` below `target`.

    Local images are linked; remote ones are copied, since ultralytics opens only local files. Every hundredth
    image is also listed for validation, which ultralytics demands; this is no held-out set.
    """
    names = [f"{row['image_id']}{PurePosixPath(row['uri']).suffix.lower()}" for row in rows]
    target.write_many((f"labels/train/{row['image_id']}.txt", partial(_labels, row)) for row in rows)
    remote = []
    for name, row in zip(names, rows, strict=True):
        if target.is_local and "://" not in row["uri"]:
            _link(target, f"images/train/{name}", row["uri"])
        else:
            remote.append((f"images/train/{name}", partial(read_bytes, row["uri"])))
    target.write_many(remote)
    listed = [f"./images/train/{name}" for name in names]
    target.write("train.txt", ("\n".join(listed) + "\n").encode())
    target.write("val.txt", ("\n".join(listed[::100]) + "\n").encode())
    document = {"train": "train.txt", "val": "val.txt", "names": {0: CLASS_NAME}}
    if target.is_local:  # a copy of a remote one is found beside its data.yaml
        document = {"path": target.path, **document}
    target.write("data.yaml", yaml.safe_dump(document, sort_keys=False).encode())


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
