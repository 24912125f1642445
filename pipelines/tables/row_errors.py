"""Images that a job can't read, written beside it: they are in no checkpoint, so it tries them again."""

import pyarrow as pa

from cluster.stages import digest
from cluster.storage import Storage

ERRORS = pa.schema([("image_id", pa.string()), ("error", pa.string())])


def write_errors(rows: pa.Table, errors: Storage) -> None:
    """Write why rows can't be read; the same rows always give the same file.

    Args:
        rows: a batch with `image_id` and `error`, null where the image could be read.
        errors: directory of the files, schema `ERRORS`; no file is written where every row could be read.
    """
    bad = [row for row in rows.select(["image_id", "error"]).to_pylist() if row["error"] is not None]
    if bad:
        name = digest([row["image_id"] for row in bad])
        errors.write_table(f"{name}.parquet", pa.Table.from_pylist(bad, schema=ERRORS))


def read_errors(errors: Storage) -> dict[str, str]:
    """image_id → why its image couldn't be read, from all files of `write_errors`."""
    if not errors.children():
        return {}
    return {row["image_id"]: row["error"] for row in errors.read_table("").to_pylist()}
