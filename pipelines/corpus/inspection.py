"""One image of a listing, read and looked at: its hash, size and labels."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipelines.annotations import Annotation, Faults, encode_mask, read_truth
from pipelines.corpus.bad_labels import fault_row
from pipelines.corpus.entries import ROWS_AT_ONCE
from pipelines.corpus.inspected import INSPECTED, LOOKS, TO_READ
from pipelines.corpus.joining import joined
from pipelines.corpus.near_duplicates import perceptual_hash
from pipelines.corpus.places import places_in
from pipelines.corpus.statistics import grey_levels
from pipelines.images import ImageError, content_hash, decode_any_depth, read_bytes

_NO_LOOKS: dict[str, Any] = dict.fromkeys(field.name for field in LOOKS)
_NO_TRUTH: dict[str, Any] = {"boxes": [], "mask": None, "ignored": [], "empty": False}


def _looks(uri: str, levels: Any) -> dict[str, Any]:
    data = read_bytes(uri)
    image, deep = decode_any_depth(data, levels)
    height, width = image.shape[:2]
    size = {"image_id": content_hash(data), "width": width, "height": height}
    return {**size, "phash": perceptual_hash(image), **grey_levels(image), "deep": deep}


def _truth(annotation: Mapping[str, Any], width: int, height: int, faults: Faults) -> dict[str, Any]:
    """The columns that come from an annotation; `mask` is COCO's run-length text."""
    truth = read_truth(Annotation(**annotation), width, height, faults)
    return {
        "boxes": [vars(box) for box in truth.boxes],
        "mask": None if truth.mask is None else encode_mask(truth.mask),
        "ignored": [vars(box) for box in truth.ignored],
        "empty": truth.empty,
    }


def _read_one(row: dict[str, Any], clip: bool) -> dict[str, Any]:
    faults = Faults(clip)
    known = {name: row[name] for name in ("uri", "levels", "looks_key", "label_key")}
    known |= {**_NO_LOOKS, **_NO_TRUTH, "error": None, "faults": []}
    try:
        # Looks are kept where the label is at fault: copies of the image are not normal then.
        looks = known | (row["looks"] or _looks(row["uri"], row["levels"]))
    except ImageError as error:
        return {**known, "error": str(error)}
    if row["annotation"] is None:
        return looks
    try:
        looks |= _truth(row["annotation"], looks["width"], looks["height"], faults)
    except ImageError as error:
        looks["error"] = str(error)
    return {**looks, "faults": [fault_row(fault, row["uri"]) for fault in faults.found]}


def read_images(rows: pa.Table, *, clip: bool = False) -> pa.Table:
    """Decode and hash each image, unless its looks are known, and read its label; schema `INSPECTED`.

    An unusable one gets an `error` instead. `image_id` is the first 32 hex digits of the file's SHA-256,
    `phash` its perceptual hash, `empty` says that its label names no defect, `faults` are the label's faults.

    Args:
        rows: images, schema `TO_READ`.
        clip: whether boxes are cut to the image, see `Faults`.
    """
    return pa.Table.from_pylist([_read_one(row, clip) for row in rows.to_pylist()], schema=INSPECTED)


def inspect(rows: pa.Table, *, clip: bool = False) -> pa.Table:
    """Hash and decode each listed image and read its annotation here and now; see `read_images`, `joined`.

    Args:
        rows: listed images, schema `LISTED`.
        clip: whether boxes are cut to the image, see `Faults`.
    """
    none = dict.fromkeys(("looks_key", "label_key", "looks"))
    readable = [{**row, **none} for row in rows.to_pylist() if row["fault"] is None]
    read = read_images(pa.Table.from_pylist(readable, schema=TO_READ), clip=clip)
    places = places_in(read["uri"], rows["uri"])
    return joined(rows.to_batches(ROWS_AT_ONCE), read.take(pa.array(places, mask=places < 0)))
