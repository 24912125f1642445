"""A loop's rounds as they are kept: a folder each, with one record that is replaced whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage import Storage

STAGE, RECORD = "loop", "round.json"
FOLDER = re.compile(r"round-(\d{3,9})")
# What a record has once a step is done; a round goes on with the first that is missing.
ASKED, LABELS, DECISION = "asked", "labels", "decision"


def now() -> str:
    """The time, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def named(artifact: Artifact) -> dict[str, str]:
    """A stage's artifact, as a record names it."""
    about = {"stage": artifact.stage, "fingerprint": artifact.fingerprint}
    return {**about, "directory": artifact.directory.uri}


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        number: from 1.
        folder: its folder in the workspace.
        record: what is known of it, JSON-able: model, images, artifacts of every step, decision.
    """

    number: int
    folder: Storage
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of its folder, here and in `active_learning.out`."""
        return folder_name(self.number)

    def has(self, step: str) -> bool:
        """Whether a step is done."""
        return step in self.record

    def told(self, **more: Any) -> "Round":
        """The round with more in its record, not yet on the disk; artifacts go among its stages."""
        stages = {
            key: value for key, value in more.items() if isinstance(value, dict) and "fingerprint" in value
        }
        plain = {key: value for key, value in more.items() if key not in stages}
        own = self.record["stages"]
        return replace(self, record={**self.record, **plain, "stages": {**own, **stages}})

    def noted(self, **more: Any) -> "Round":
        """The round with more in its record, on the disk too: all of it or nothing."""
        record = {**self.record, **more}
        self.folder.write_json(RECORD, record)
        return replace(self, record=record)


def folder_name(number: int) -> str:
    """`round-001`."""
    return f"round-{number:03d}"


def read_rounds(loop: Storage) -> list[Round]:
    """The rounds of a loop, the first one first.

    Args:
        loop: the loop's folder.

    Raises:
        UserError: a record can't be read.
    """
    rounds = []
    for name in loop.children():
        match = FOLDER.fullmatch(name)
        if match is None or not loop.at(name).exists(RECORD):
            continue
        folder = loop.at(name)
        try:
            record = folder.read_json(RECORD)
            known = isinstance(record, dict) and record["number"] == int(match[1]) and record["model"]
        except (ValueError, RecursionError, KeyError):
            known = False
        if not known:
            raise UserError(
                f"{folder.uri_of(RECORD)} is damaged; restore it from a backup, or remove the folder "
                f"{folder.uri} to begin that round anew."
            )
        rounds.append(Round(int(match[1]), folder, record))
    return sorted(rounds, key=lambda each: each.number)


def open_round(loop: Storage, number: int, model: str) -> Round:
    """A round before its first step; nothing is written yet.

    Args:
        loop: the loop's folder.
        number: its number.
        model: `NAME@VERSION` of the version in use.
    """
    return Round(
        number,
        loop.at(folder_name(number)),
        {"number": number, "model": model, "opened": now(), "stages": {}},
    )
