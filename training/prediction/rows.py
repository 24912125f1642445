"""Prediction row by row: what each row of a listing becomes on its way through Ray Data. No Ray here."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from cluster.on_ray import Sender
from cluster.storage import Storage
from pipelines.images import ImageError, Levels, content_hash, decode_image, read_bytes
from pipelines.tables import PREDICTED_BOX, SIZE
from training.models import Preprocessing
from training.models.detectors import Detector
from training.pictures import DrawnBox, draw_boxes, read_pixels
from training.prediction.batch import detect_batch
from training.prediction.predict import ImagePrediction
from training.prediction.section import PredictSection
from training.prediction.tiled import detect_tiled

READ = [("uri", pa.string()), ("name", pa.string()), ("image_id", pa.string()), *SIZE, ("error", pa.string())]
PREDICTED = pa.schema([*READ, ("boxes", pa.list_(PREDICTED_BOX))])


def read_rows(rows: pa.Table, preprocessing: Preprocessing, levels: Levels | None = None) -> pa.Table:
    """Read, hash and lay out each row's image; one that can't be read gets an `error` instead.

    Args:
        rows: table with `uri` and `name`.
        preprocessing: the detector's preprocessing.
        levels: black and white of images of more than 8 bits; None takes each one's own.

    Returns:
        Columns `READ` and `pixels`, uint8 (S, S, 3), black where there is an error.
    """
    columns: dict[str, list[Any]] = {name: [] for name, _ in READ}
    # A table without images has the layout too.
    nothing = np.zeros_like(preprocessing.place(1, 1).image(np.zeros((1, 1, 3), np.uint8)))
    inputs: list[npt.NDArray[np.uint8]] = []
    for row in rows.select(["uri", "name"]).to_pylist():
        about: dict[str, Any] = {"image_id": None, "width": None, "height": None, "error": None}
        pixels = nothing
        try:
            data = read_bytes(row["uri"])
            image = decode_image(data, levels)
            height, width = image.shape[:2]
            about |= {"image_id": content_hash(data), "width": width, "height": height}
            pixels = preprocessing.place(width, height).image(image)
        except ImageError as error:
            about["error"] = str(error)
        inputs.append(pixels)
        for name, value in {**row, **about}.items():
            columns[name].append(value)
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(inputs or [nothing]))
    return pa.table(columns, schema=pa.schema(READ)).append_column("pixels", tensor[: len(inputs)])


def predict_rows(rows: pa.Table, detector: Detector, device: torch.device, min_score: float) -> pa.Table:
    """Rows of `read_rows` with their boxes (none where there is an error), schema `PREDICTED`.

    Args:
        rows: table from `read_rows`.
        detector: the detector, on `device` and in eval mode.
        min_score: least score of a box.
    """
    listed = rows.drop_columns(["pixels"]).to_pylist()
    good = [index for index, row in enumerate(listed) if row["error"] is None]
    for row in listed:
        row["boxes"] = []
    if good:
        pixels = rows.column("pixels").combine_chunks().to_numpy_ndarray()[good]
        sizes = [(listed[index]["width"], listed[index]["height"]) for index in good]
        results = detect_batch(detector, pixels, sizes, device=device, min_score=min_score)
        for index, size, detections in zip(good, sizes, results, strict=True):
            row = listed[index]
            prediction = ImagePrediction(
                row["image_id"], row["uri"], *size, detections.boxes, detections.scores, detections.labels
            )
            row["boxes"] = prediction.row(detector.classes)["boxes"]
    return pa.Table.from_pylist(listed, schema=PREDICTED)


def predict_tiled_rows(
    rows: pa.Table,
    detector: Detector,
    device: torch.device,
    section: PredictSection,
    levels: Levels | None = None,
) -> pa.Table:
    """Each row's image read and its boxes found in tiles, one image in memory at a time; schema `PREDICTED`.

    Args:
        rows: table with `uri` and `name`.
        detector: the detector, on `device` and in eval mode.
        section: tiles at once, least score.
        levels: see `read_rows`.
    """
    done = []
    for row in rows.select(["uri", "name"]).to_pylist():
        about: dict[str, Any] = {"image_id": None, "width": None, "height": None, "error": None, "boxes": []}
        try:
            data = read_bytes(row["uri"])
            image = decode_image(data, levels)
        except ImageError as error:
            done.append({**row, **about, "error": str(error)})
            continue
        one = detect_tiled(
            detector,
            image,
            device=device,
            batch_size=section.batch_size,
            min_score=section.min_score,
        )
        height, width = image.shape[:2]
        prediction = ImagePrediction(
            content_hash(data), row["uri"], width, height, one.boxes, one.scores, one.labels
        )
        done.append({**row, **about, **prediction.row(detector.classes)})
    return pa.Table.from_pylist(done, schema=PREDICTED)


def _drawn_name(name: str) -> str:
    """`folder/320.jpg` of `folder/320.png`."""
    path = PurePosixPath(name)
    return str(path.parent / f"{path.stem}.jpg")


def alike(names: Sequence[str]) -> frozenset[str]:
    """The names whose drawn files would be one, as those of `320.png` and `320.jpg`; they keep their suffix.

    Args:
        names: names of all images, each once.
    """
    # A picture may land on a disk that takes `A.jpg` and `a.jpg` for one file.
    short = [_drawn_name(name).casefold() for name in names]
    counts, whole = Counter(short), {f"{name}.jpg".casefold() for name in names}
    return frozenset(name for name, one in zip(names, short, strict=True) if counts[one] > 1 or one in whole)


def draw_rows(
    rows: pa.Table,
    target: Storage,
    side: int,
    levels: Levels | None = None,
    kept: Collection[str] = (),
    counter: Sender | None = None,
) -> pa.Table:
    """Write each readable row's image with its boxes as a JPEG; the rows come back as they are.

    Args:
        rows: table from `predict_rows`.
        target: directory of the pictures; names keep their folders.
        side: the pictures' longer side, pixels.
        levels: see `read_rows`.
        kept: names from `alike`, whose pictures are `NAME.SUFFIX.jpg` instead of `NAME.jpg`.
        counter: counter of rows that are done.
    """
    import cv2

    for row in rows.to_pylist():
        if row["error"] is not None:
            continue
        boxes = [
            DrawnBox((box["x0"], box["y0"], box["x1"], box["y1"]), f"{box['label']} {box['score']:.2f}")
            for box in row["boxes"]
        ]
        picture = draw_boxes(read_pixels(row["uri"], levels), [], boxes, side=side)
        # OpenCV's own turning of colours takes a thirtieth of the time of a view with a negative step.
        blue_first = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, 90])
        name = row["name"]
        target.write(f"{name}.jpg" if name in kept else _drawn_name(name), encoded.tobytes())
    if counter is not None:
        counter.add(rows.num_rows)
    return rows
