"""An export as a whole: the rows of a boxes or predictions table, one format's writer, the images."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from cluster.errors import UserError, nearest
from cluster.storage import Storage
from pipelines.annotations import AnnotationError, checked_label
from pipelines.labelling.base import BoxedImage, Boxes, ScoredBox
from pipelines.labelling.coco import write_coco
from pipelines.labelling.cvat import write_cvat
from pipelines.labelling.image_names import ImageNames
from pipelines.labelling.label_studio import write_label_studio
from pipelines.labelling.labelme import write_labelme
from pipelines.labelling.names import DEFAULT_URL, FORMATS, IMAGE_MODES, LINK, NONE
from pipelines.labelling.new_files import NewFiles
from pipelines.labelling.voc import IMAGES as VOC_IMAGES, write_voc
from pipelines.labelling.yolo import IMAGES as YOLO_IMAGES, write_yolo
from pipelines.tables import sides

BATCH = 1024  # rows in memory at once
IMAGE_FOLDERS = {
    "yolo": YOLO_IMAGES,
    "voc": VOC_IMAGES,
}  # others have the images in the folder itself


@dataclass(frozen=True)
class ExportOptions:
    """What is to be written where.

    Attributes:
        to: one of `FORMATS`.
        folder: local folder.
        images: one of `IMAGE_MODES`: how the images come into the folder.
        classes: further class names, for the person to choose from.
        url: Label Studio: what stands before an image's quoted name.
        yolo_scores: YOLO: whether a sixth column has the scores.
        force: whether annotation files that exist are replaced.
    """

    to: str
    folder: str
    images: str = LINK
    classes: tuple[str, ...] = ()
    url: str = DEFAULT_URL
    yolo_scores: bool = False
    force: bool = False


def check_options(options: ExportOptions) -> None:
    """Refuse what can't be meant, before anything is made.

    Raises:
        UserError: an unknown format, a folder that is none, an option of another format.
    """
    if options.to not in FORMATS:
        raise UserError(f'There is no format "{options.to}"; {nearest(options.to, FORMATS)}')
    if options.images not in IMAGE_MODES:
        raise UserError(f"--images {options.images} is unknown; valid: {', '.join(IMAGE_MODES)}.")
    if "://" in options.folder:
        raise UserError(f"--out {options.folder} is no local folder; export into one and copy it.")
    if Path(options.folder).exists() and not Path(options.folder).is_dir():
        raise UserError(f"--out {options.folder} is no folder; choose another.")
    if options.yolo_scores and options.to != "yolo":
        raise UserError(f"--yolo-scores is for --to yolo; {options.to} keeps them where it can.")
    if options.url != DEFAULT_URL and options.to != "label-studio":
        raise UserError(f"--image-url is for --to label-studio, not for {options.to}.")
    checked_classes(options.classes)


def checked_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names without repetitions.

    Raises:
        UserError: a name that no reader would take.
    """
    try:
        return tuple(dict.fromkeys(checked_label(name) for name in names))
    except AnnotationError as error:
        raise UserError(f"{error}: a class is 1 to 100 printable characters.") from None


def export_boxes(
    source: Storage,
    table: str,
    options: ExportOptions,
    *,
    roots: Iterable[str],
    classes: Iterable[str],
    model: str,
) -> Mapping[str, Any]:
    """Write the boxes of a table for a labelling tool or a training loader.

    Rows are read in batches, once for every pass of the format's writer. Boxes without an area are left out.

    Args:
        source: directory of the table.
        table: a Parquet file of the schema `BOXES` or `PREDICTIONS`.
        options: format, folder and the rest.
        roots: folders or URIs that the images were listed below.
        classes: class names in the order of their numbers; a box without a label is of the first one.
        model: what found the boxes.

    Returns:
        The figures: format, folder, the folder that names are relative to, images, boxes, left-out boxes.

    Raises:
        UserError: see `check_options`, `NewFiles` and the formats' writers.
    """
    check_options(options)
    known = checked_classes(classes)
    labels = checked_classes([*known, *options.classes])
    uris = _uris(source, table)
    names = ImageNames(roots, uris)
    boxes = Boxes(lambda: _images(source, table, names, known[0]), len(uris), labels, model)
    written = without_area = 0
    folder = IMAGE_FOLDERS.get(options.to)
    with NewFiles(Path(options.folder), force=options.force) as target:
        _write(boxes, target, options)
        for row in _rows(source, table, ["uri", "boxes"]):
            name = names.name(row["uri"])
            target.image(f"{folder}/{name}" if folder else name, row["uri"], options.images)
            kept = sum(_has_area(box) for box in row["boxes"])
            written, without_area = written + kept, without_area + len(row["boxes"]) - kept
    return {
        "format": options.to,
        "folder": options.folder,
        "relative_to": names.folder,
        "images": len(uris),
        "boxes": written,
        "boxes_without_area": without_area,
        "classes": list(labels),
    }


def _write(boxes: Boxes, target: NewFiles, options: ExportOptions) -> None:
    if options.to == "label-studio":
        write_label_studio(boxes, target, url=options.url)
    elif options.to == "cvat":
        write_cvat(boxes, target)
    elif options.to == "labelme":
        write_labelme(boxes, target, with_images=options.images != NONE)
    elif options.to == "coco":
        write_coco(boxes, target)
    elif options.to == "yolo":
        write_yolo(boxes, target, scores=options.yolo_scores)
    else:
        write_voc(boxes, target)


def _rows(source: Storage, table: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    with source.filesystem.open_input_file(f"{source.path}/{table}") as file:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=BATCH, columns=columns):
            yield from batch.to_pylist()


def _uris(source: Storage, table: str) -> list[str]:
    return [row["uri"] for row in _rows(source, table, ["uri"])]


def _images(source: Storage, table: str, names: ImageNames, unnamed: str) -> Iterator[BoxedImage]:
    for row in _rows(source, table):
        boxes = tuple(
            ScoredBox(*sides(box), float(box["score"]), checked_label(box.get("label", unnamed)))
            for box in row["boxes"]
            if _has_area(box)
        )
        size = row["width"], row["height"]
        yield BoxedImage(names.name(row["uri"]), row["uri"], *size, row.get("category"), boxes)


def _has_area(box: Mapping[str, float]) -> bool:
    return box["x1"] > box["x0"] and box["y1"] > box["y0"]
