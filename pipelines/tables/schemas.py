"""Schemas of the Parquet tables that stages hand to each other; readable with plain pyarrow."""

import pyarrow as pa

from pipelines.tables.box_sides import SIDES

BOX = pa.struct([(side, pa.float64()) for side in SIDES])
LABELLED_BOX = pa.struct([*BOX, pa.field("label", pa.string())])
SCORED_BOX = pa.struct([*BOX, pa.field("score", pa.float64())])

IDENTITY = [("image_id", pa.string()), ("uri", pa.string()), ("category", pa.string())]
SIZE = [("width", pa.int32()), ("height", pa.int32())]

# Black and white of an image of more than 8 bits; null takes its own.
LEVELS = ("levels", pa.list_(pa.float64()))

MANIFEST = pa.schema([*IDENTITY, ("split", pa.string()), ("role", pa.string()), *SIZE, LEVELS])
# `mask` is COCO's run-length text at the image's size, null where no pixel truth is known.
LABELS = pa.schema(
    [
        ("image_id", pa.string()),
        ("boxes", pa.list_(LABELLED_BOX)),
        ("mask", pa.string()),
        ("ignored", pa.list_(LABELLED_BOX)),
    ]
)
QUARANTINE = pa.schema([("uri", pa.string()), ("stage", pa.string()), ("reason", pa.string())])
BAD_LABELS = pa.schema(
    [("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("action", pa.string())]
)
DUPLICATES = pa.schema([("uri", pa.string()), ("first", pa.string()), ("image_id", pa.string())])
NEAR_DUPLICATES = pa.schema(
    [
        ("group", pa.string()),
        *((f"{name}_{side}", pa.string()) for name in ("image_id", "uri") for side in "ab"),
        ("distance", pa.int32()),
    ]
)
MOVED = pa.schema([(name, pa.string()) for name in ("image_id", "uri", "published", "split", "reason")])
HASHES = pa.schema([("image_id", pa.string()), ("phash", pa.string())])
THRESHOLDS = pa.schema(
    [
        ("category", pa.string()),
        ("images", pa.int64()),
        ("mean_max", pa.float64()),
        ("threshold", pa.float64()),
        ("delta", pa.float64()),
    ]
)
BOXES = pa.schema([*IDENTITY, *SIZE, ("boxes", pa.list_(SCORED_BOX))])
# Boxes that a further round of a detector's pretraining learns, and regions that it hides.
CORRECTED = pa.schema([*BOXES, ("ignored", pa.list_(SCORED_BOX))])
# `uri` is the user's image, `painted` the file with the defects in the stage's directory, null without any.
PAINTED = pa.schema([*BOXES, ("painted", pa.string())])
# `image_id` names the painted copy, `original` the image; `normal`: whether that is known to have no defect.
AUDIT_IMAGES = pa.schema([*PAINTED, ("original", pa.string()), ("kind", pa.string()), ("normal", pa.bool_())])
# A rule with its settings by category and by what was painted; `*_low` and `*_high` are 95 % intervals.
AUDIT = pa.schema(
    [
        ("category", pa.string()),
        ("settings", pa.string()),
        ("rule", pa.string()),
        ("own", pa.bool_()),
        ("chosen", pa.bool_()),
        ("part", pa.string()),
        ("defects", pa.int64()),
        ("boxes", pa.int64()),
        ("left_out", pa.int64()),
        *(
            (f"{name}{end}", pa.float64())
            for name in ("precision", "recall", "f1", "iou")
            for end in ("", "_low", "_high")
        ),
        ("plain_boxes", pa.float64()),
        *((f"true_{name}", pa.float64()) for name in ("precision", "recall", "f1")),
    ]
)


PREDICTED_BOX = pa.struct([*BOX, pa.field("score", pa.float64()), pa.field("label", pa.string())])


PREDICTIONS = pa.schema(
    [("image_id", pa.string()), ("uri", pa.string()), *SIZE, ("boxes", pa.list_(PREDICTED_BOX))]
)
# What a finetuned detector finds on images without labels; `normal`: known to have no defect.
PSEUDO_LABELS = pa.schema(
    [*IDENTITY, *SIZE, LEVELS, ("boxes", pa.list_(PREDICTED_BOX)), ("normal", pa.bool_())]
)


ANNOTATION = pa.struct(
    [
        ("format", pa.string()),
        ("files", pa.list_(pa.string())),
        ("label", pa.string()),
        ("content", pa.string()),
        ("empty_is_normal", pa.bool_()),
        ("crowds", pa.string()),
    ]
)


LISTED = pa.schema(
    [
        ("uri", pa.string()),
        ("path", pa.string()),
        ("category", pa.string()),
        ("normal", pa.bool_()),
        ("labelled", pa.bool_()),
        ("annotation", ANNOTATION),
        ("fault", pa.string()),
        LEVELS,
    ]
)
