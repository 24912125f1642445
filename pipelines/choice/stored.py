"""The newest choice of a workspace, for the review page."""

from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from cluster.stages import RECORD
from cluster.storage import Storage

STAGE, CHOSEN_FILE = "next", "next.parquet"


@dataclass(frozen=True)
class Place:
    """Where an image stands among those to label first, from 1, and why."""

    place: int
    reason: str


def newest_choice(workspace: Storage, maps: str) -> dict[str, Place]:
    """By image id its place in the newest complete choice from these maps; empty where there is none.

    Args:
        workspace: the project's workspace.
        maps: the maps' fingerprint.

    Raises:
        UserError: a record is damaged.
    """
    folder = workspace.at(STAGE)
    found: list[tuple[str, Storage]] = []
    for name in folder.children():
        directory = folder.at(name)
        if not directory.exists(RECORD):
            continue  # not complete
        record = _record(directory)
        if record["inputs"]["maps"] == maps:
            found.append((str(record["started"]), directory))
    if not found:
        return {}
    directory = max(found, key=lambda each: each[0])[1]
    rows = directory.read_table(CHOSEN_FILE, columns=["image_id", "place", "reason"]).to_pylist()
    return {row["image_id"]: Place(row["place"], row["reason"]) for row in rows}


def _record(directory: Storage) -> dict[str, Any]:
    try:
        record: dict[str, Any] = directory.read_json(RECORD)
        record["started"], record["inputs"]["maps"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise UserError(
            f"{directory.uri}/{RECORD} is damaged; delete {directory.uri} and make it anew."
        ) from None
    return record
