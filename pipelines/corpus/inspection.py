"""One image of a listing, read and looked at: its hash, size and labels."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from pipelines.annotations import Annotation, Faults, LabelFault, encode_mask, read_truth
from pipelines.corpus.bad_labels import empty_rows, fault_row, marks_nothing
from pipelines.corpus.entries import ROWS_AT_ONCE
from pipelines.corpus.near_duplicates import perceptual_hash
from pipelines.corpus.places import Places, places_in
from pipelines.corpus.statistics import grey_levels
from pipelines.images import ImageError, content_hash, decode_image, read_bytes
from pipelines.tables import BAD_LABELS, LABELLED_BOX, LISTED

# What the image's own file says, and what its label says.
LOOKS = pa.struct(
    [
        ("image_id", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("phash", pa.string()),
        ("grey_mean", pa.float64()),
        ("grey_deviation", pa.float64()),
    ]
)
TRUTH = [
    ("boxes", pa.list_(LABELLED_BOX)),
    ("mask", pa.string()),
    ("ignored", pa.list_(LABELLED_BOX)),
    ("empty", pa.bool_()),
]
FOUND = [("error", pa.string()), ("faults", pa.list_(pa.struct(list(BAD_LABELS))))]
# Digests of all that decides an image's looks and its label.
KEYS = [("looks_key", pa.string()), ("label_key", pa.string())]
TO_READ = pa.schema(
    [*(LISTED.field(name) for name in ("uri", "annotation", "levels")), *KEYS, ("looks", LOOKS)]
)
INSPECTED = pa.schema([LISTED.field("uri"), LISTED.field("levels"), *KEYS, *LOOKS, *TRUTH, *FOUND])

JOINED = pa.schema(
    [
        *(field for field in LISTED if field.name != "annotation"),
        *LOOKS,
        *(field for field in TRUTH if field[0] != "empty"),
        *FOUND,
    ]
)
_NO_LOOKS: dict[str, Any] = dict.fromkeys(field.name for field in LOOKS)
_NO_TRUTH: dict[str, Any] = {"boxes": [], "mask": None, "ignored": [], "empty": False}


def _looks(uri: str, levels: Any) -> dict[str, Any]:
    data = read_bytes(uri)
    image = decode_image(data, levels)
    height, width = image.shape[:2]
    size = {"image_id": content_hash(data), "width": width, "height": height}
    return {**size, "phash": perceptual_hash(image), **grey_levels(image)}


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


def joined(listed: pa.Table, inspected: pa.Table) -> pa.Table:
    """The listed images with what was read of them: what a `Corpus` is made of.

    Args:
        listed: schema `LISTED`; an image that the listing itself faults needs no other row.
        inspected: schema `INSPECTED`, in any order.
    """
    places = places_in(inspected["uri"], listed["uri"])
    return pa.Table.from_batches(joined_batches(listed.to_batches(ROWS_AT_ONCE), places, inspected), JOINED)


def joined_batches(
    listed: Iterable[pa.RecordBatch], places: Places, inspected: pa.Table
) -> Iterator[pa.RecordBatch]:
    """`joined`, some thousand images at once.

    Args:
        listed: pieces of the listing.
        places: where each listed image is among those inspected; -1 where it is not there.
        inspected: see `joined`; a column in one piece is looked up sooner.
    """
    start = 0
    for batch in listed:
        own = places[start : start + batch.num_rows]
        start += batch.num_rows
        found = iter(inspected.take(pa.array(own[own >= 0])).to_pylist())
        rows = zip(batch.to_pylist(), own.tolist(), strict=True)
        whole = [_joined_one(row, next(found) if place >= 0 else None) for row, place in rows]
        yield pa.RecordBatch.from_pylist(whole, schema=JOINED)


def _joined_one(row: dict[str, Any], read: Mapping[str, Any] | None) -> dict[str, Any]:
    annotation, uri = row.pop("annotation"), row["uri"]
    if row["fault"] is not None:
        faults = [fault_row(LabelFault("", None, row["fault"]), uri)]
        return {**row, **_NO_LOOKS, **_NO_TRUTH, "error": row["fault"], "faults": faults}
    if read is None:
        raise ValueError(f"{uri} was listed, but its inspection is missing")
    row = {**row, **read}
    if annotation is not None and row["error"] is None:
        row["normal"] = row["normal"] or (row["empty"] and annotation["empty_is_normal"])
        if not row["normal"] and marks_nothing(row, row["width"], row["height"]):
            row["faults"] = row["faults"] + empty_rows(annotation["files"], uri)
    return row


def inspect(rows: pa.Table, *, clip: bool = False) -> pa.Table:
    """Hash and decode each listed image and read its annotation here and now; see `read_images`, `joined`.

    Args:
        rows: listed images, schema `LISTED`.
        clip: whether boxes are cut to the image, see `Faults`.
    """
    none = dict.fromkeys(("looks_key", "label_key", "looks"))
    readable = [{**row, **none} for row in rows.to_pylist() if row["fault"] is None]
    return joined(rows, read_images(pa.Table.from_pylist(readable, schema=TO_READ), clip=clip))
