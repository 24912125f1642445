"""The files of a registered model for as long as a block needs them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.registry.pull import pull
from cluster.registry.registry import Registry
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


@contextmanager
def registered_files(tracker: Tracker, reference: str) -> Iterator[RegisteredFiles]:
    """The files of `NAME` (the newest version), `NAME@VERSION` or `NAME@ALIAS`, their digests verified.

    Raises:
        UserError: no such model, version or alias; see `pull`.
    """
    version = Registry.open(tracker).version(reference)
    with tempfile.TemporaryDirectory() as scratch:
        yield RegisteredFiles(version.reference, pull(tracker, version, Path(scratch)))
