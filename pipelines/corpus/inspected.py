"""What is kept of each image that was read: the schemas of inspections."""

import pyarrow as pa

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
        ("deep", pa.bool_()),
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
