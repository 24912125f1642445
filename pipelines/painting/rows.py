"""Rows of images turned into rows with painted defects, batch by batch. No Ray here."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.storage import Storage
from pipelines.images import ImageError, read_image
from pipelines.painting.painter import paint
from pipelines.painting.section import PaintSettings
from pipelines.tables import BOX, IDENTITY, LEVELS, PAINTED, SIDES, SIZE, box_array, write_errors

TO_PAINT = pa.schema([*IDENTITY, *SIZE, LEVELS, ("avoid", pa.list_(BOX))])
SCORE = 1.0  # of a painted box, which is certain


def paint_rows(
    rows: pa.Table, settings: PaintSettings, seed: int, *, target: Storage, errors: Storage
) -> pa.Table:
    """Paint images and write those with a defect as `images/ID.png` below `target`.

    Args:
        rows: a batch, schema `TO_PAINT`.
        settings: how defects are painted.
        seed: see `paint`.
        target: directory of the stage.
        errors: directory for `write_errors`.

    Returns:
        Rows of schema `PAINTED`, without those whose image can't be read.
    """
    cv2.setNumThreads(1)  # the workers are the parallel part
    done: list[dict[str, Any]] = []
    unreadable: list[dict[str, str | None]] = []
    for row in rows.to_pylist():
        levels = None if row["levels"] is None else (row["levels"][0], row["levels"][1])
        try:
            image = read_image(row["uri"], levels)
        except ImageError as error:
            unreadable.append({"image_id": row["image_id"], "error": str(error)})
            continue
        painted = paint(
            image,
            seed=seed,
            image_id=row["image_id"],
            settings=settings,
            avoid=box_array(row["avoid"]),
        )
        name = None
        if len(painted.boxes):
            name = f"images/{row['image_id']}.png"
            target.write(name, png(painted.image))
        boxes = [dict(zip(SIDES, box, strict=True)) | {"score": SCORE} for box in painted.boxes.tolist()]
        done.append({**{key: row[key] for key in PAINTED.names[:-2]}, "boxes": boxes, "painted": name})
    if unreadable:
        write_errors(pa.Table.from_pylist(unreadable), errors)
    return pa.Table.from_pylist(done, schema=PAINTED)


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 RGB as a PNG file."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert encoded
    return data.tobytes()
