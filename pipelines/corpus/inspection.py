"""One image of a listing, read and looked at: its hash, size and labels."""

from typing import Any

import pyarrow as pa

from pipelines.annotations import Annotation, Faults, LabelFault, encode_mask, read_truth
from pipelines.corpus.bad_labels import empty_rows, fault_row, marks_nothing
from pipelines.corpus.near_duplicates import perceptual_hash
from pipelines.corpus.statistics import grey_levels
from pipelines.images import ImageError, content_hash, decode_image, read_bytes
from pipelines.tables import BAD_LABELS, LABELLED_BOX, LISTED

_INSPECTED = pa.schema(
    [
        *(field for field in LISTED if field.name != "annotation"),
        ("image_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("phash", pa.string()),
        ("grey_mean", pa.float64()),
        ("grey_deviation", pa.float64()),
        ("boxes", pa.list_(LABELLED_BOX)),
        ("mask", pa.string()),
        ("ignored", pa.list_(LABELLED_BOX)),
        ("error", pa.string()),
        ("faults", pa.list_(pa.struct(list(BAD_LABELS)))),
    ]
)


def _truth(row: dict[str, Any], width: int, height: int, faults: Faults) -> dict[str, Any]:
    """The columns that come from an annotation: boxes, mask (COCO run-length text), ignored, normal."""
    if row["annotation"] is None:
        return {"boxes": [], "mask": None, "ignored": []}
    annotation = Annotation(**row["annotation"])
    truth = read_truth(annotation, width, height, faults)
    return {
        "boxes": [vars(box) for box in truth.boxes],
        "mask": None if truth.mask is None else encode_mask(truth.mask),
        "ignored": [vars(box) for box in truth.ignored],
        "normal": row["normal"] or (truth.empty and annotation.empty_is_normal),
    }


def _inspect_one(row: dict[str, Any], clip: bool) -> dict[str, Any]:
    faults = Faults(clip)
    row = {**row, "image_id": None, "faults": []}
    try:
        if row["fault"] is not None:
            row["faults"] = [fault_row(LabelFault("", None, row["fault"]), row["uri"])]
            raise ImageError(row["fault"])
        data = read_bytes(row["uri"])
        image = decode_image(data, row["levels"])
        height, width = image.shape[:2]
        row["image_id"] = content_hash(data)  # also where the label is at fault: copies are not normal then
        try:
            row |= _truth(row, width, height, faults)
        finally:
            row["faults"] = [fault_row(fault, row["uri"]) for fault in faults.found]
        if row["annotation"] is not None and not row["normal"] and marks_nothing(row, width, height):
            row["faults"] += empty_rows(row["annotation"]["files"], row["uri"])
    except ImageError as error:
        return {**row, "error": str(error)}
    looks = {"phash": perceptual_hash(image), **grey_levels(image)}
    return {**row, "width": width, "height": height, **looks, "error": None}


def inspect(rows: pa.Table, *, clip: bool = False) -> pa.Table:
    """Hash and decode each listed image and read its annotation; an unusable one gets an `error` instead.

    `image_id` is the first 32 hex digits of the file's SHA-256, `phash` its perceptual hash, `faults` the
    faults of its labels.

    Args:
        rows: listed images, schema `LISTED`.
        clip: whether boxes are cut to the image, see `Faults`.
    """
    return pa.Table.from_pylist([_inspect_one(row, clip) for row in rows.to_pylist()], schema=_INSPECTED)
