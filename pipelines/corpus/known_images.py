"""Images that earlier inspections of a workspace have read: the same file is not read twice."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.errors import UserError
from cluster.stages import RECORD
from cluster.storage import Storage
from pipelines.corpus.inspection import INSPECTED, LOOKS
from pipelines.corpus.thumbnails import THUMBNAILS, Key, by_key, key_of

INSPECTION, READ, TAKEN = "inspection", "read", "taken.parquet"


def inspected_images(directory: Storage) -> pa.Table:
    """The images of an inspection, schema `INSPECTED`: those that it read and those that it took over.

    Args:
        directory: of the inspection's artifact.
    """
    taken = directory.read_table(TAKEN)
    read = directory.at(READ)
    return pa.concat_tables([taken, read.read_table("").cast(INSPECTED)]) if read.children() else taken


class KnownImages:
    """What the complete inspections of a workspace hold, the newest first.

    Args:
        workspace: root of all stages.
        revision: of the inspections that may serve.
    """

    def __init__(self, workspace: Storage, revision: int) -> None:
        self._folder, self._revision = workspace.at(INSPECTION), revision

    @cached_property
    def _inspections(self) -> list[Storage]:
        complete = []
        for name in self._folder.children():
            directory = self._folder.at(name)
            if directory.exists(RECORD):
                with _intact(directory):
                    record = directory.read_json(RECORD)
                    if record["revision"] == self._revision:
                        complete.append((str(record["started"]), directory))
        return [directory for _, directory in sorted(complete, key=lambda each: each[0], reverse=True)]

    def among(self, wanted: Sequence[dict[str, Any]]) -> tuple[pa.Table, list[dict[str, Any]]]:
        """What is known of images, and what is yet to be read.

        An image that could not be used is read again, whatever was at fault. Where only the label changed,
        the image is not decoded.

        Args:
            wanted: rows of `TO_READ`.

        Returns:
            The images known with their labels, schema `INSPECTED`; rows of `TO_READ` of the others, with
            their looks where these are known.
        """
        looks: dict[str, dict[str, Any]] = {}
        whole: dict[str, dict[str, Any]] = {}
        missing = {row["looks_key"] for row in wanted}
        for directory in self._inspections:
            if not missing:
                break
            with _intact(directory):
                images = inspected_images(directory)
            for row in images.filter(
                pc.is_in(images["looks_key"], pa.array(missing, pa.string()))
            ).to_pylist():
                if row["phash"] is not None:
                    looks.setdefault(row["looks_key"], {field.name: row[field.name] for field in LOOKS})
                if row["error"] is None:
                    whole.setdefault(row["looks_key"] + row["label_key"], row)
            missing = {row["looks_key"] for row in wanted if _both(row) not in whole}
        taken = [whole[_both(row)] for row in wanted if _both(row) in whole]
        unknown = [{**row, "looks": looks.get(row["looks_key"])} for row in wanted if _both(row) not in whole]
        return pa.Table.from_pylist(taken, schema=INSPECTED), unknown

    def thumbnails(self, images: Sequence[Mapping[str, Any]]) -> dict[Key, bytes]:
        """The thumbnails that earlier inspections have made of some images (rows of `INSPECTED`)."""
        missing, known = {key_of(row) for row in images}, dict[Key, bytes]()
        for directory in self._inspections:
            if not missing:
                break
            with _intact(directory):
                made = by_key(directory.read_table(THUMBNAILS))
            known |= {key: made[key] for key in missing & made.keys()}
            missing -= made.keys()
        return known


def _both(row: Mapping[str, Any]) -> str:
    return str(row["looks_key"]) + str(row["label_key"])


@contextmanager
def _intact(directory: Storage) -> Iterator[None]:
    try:
        yield
    except (
        ValueError,
        RecursionError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # Arrow's errors of files are ValueErrors
        raise UserError(
            f"The inspection {directory.uri} is damaged; delete that folder, its images are read anew."
        ) from None
