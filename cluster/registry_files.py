"""The files of a registered model, fetched to this machine."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import UserError
from cluster.registry import show_model
from cluster.tracking import Tracker
from cluster.tracking_server import masked


@dataclass(frozen=True)
class RegisteredFiles:
    """A version's files.

    Attributes:
        model: `NAME@VERSION`, which stays what it is when aliases move.
        folder: local; gone when the block ends.
    """

    model: str
    folder: Path


@contextmanager
def registered_files(tracker: Tracker, reference: str) -> Iterator[RegisteredFiles]:
    """The files of `NAME` (the newest version), `NAME@VERSION` or `NAME@ALIAS`.

    Raises:
        UserError: no such model, version or alias, or its files are gone.
    """
    name, _, which = reference.partition("@")
    version = show_model(tracker, name, which or None)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = download_artifacts(
                artifact_uri=version.source, dst_path=scratch, tracking_uri=tracker.uri
            )
        except (MlflowException, OSError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"The files of model {name} version {version.version} can't be fetched from "
                f"{masked(version.source)} ({reason}); register it again."
            ) from None
        yield RegisteredFiles(f"{name}@{version.version}", Path(folder))
