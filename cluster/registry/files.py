"""The files of a registered model for as long as a block needs them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.registry.pull import pull
from cluster.registry.registry import FINGERPRINT, Registry
from cluster.registry.stored_files import are_sound
from cluster.tracking import Tracker


@dataclass(frozen=True)
class RegisteredFiles:
    """A version's files.

    Attributes:
        model: `NAME@VERSION`, which stays what it is when aliases move.
        folder: a local folder; gone when the block ends.
    """

    model: str
    folder: Path


def is_registered(tracker: Tracker, reference: str, fingerprint: str) -> bool:
    """Whether the registry has a version, made by the stage of a fingerprint, whose files are sound.

    Args:
        tracker: the tracker whose registry is asked.
        reference: `NAME@VERSION`.
        fingerprint: the stage's.

    Raises:
        UserError: the registry can't be reached or read.
    """
    versions = {one.reference: one for one in Registry.open(tracker).versions()}
    version = versions.get(reference)
    if version is None or version.tags.get(FINGERPRINT) != fingerprint:
        return False
    return are_sound(version.source, version.files)


@contextmanager
def registered_files(tracker: Tracker, reference: str) -> Iterator[RegisteredFiles]:
    """The files of `NAME` (the newest version), `NAME@VERSION` or `NAME@ALIAS`, their digests verified.

    Raises:
        UserError: no such model, version or alias; see `pull`.
    """
    version = Registry.open(tracker).version(reference)
    with tempfile.TemporaryDirectory() as scratch:
        yield RegisteredFiles(version.reference, pull(tracker, version, Path(scratch)))
