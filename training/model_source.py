"""A trained detector by file, stage artifact or registry name: one way to say which is meant."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.registry_files import registered_files
from cluster.stages import RECORD
from cluster.storage import Storage
from cluster.tracking import Tracker
from training.detector_training import WEIGHTS_FILE

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ModelSource:
    """Where a detector's weights are, on this machine.

    Attributes:
        path: of the .safetensors file; gone when the block of `open_model` ends.
        name: how messages and records name it: a path, or `NAME@VERSION` of the registry.
        digest: SHA-256 (hex) of the file.
        lineage: what it was: `file`, `artifact` (fingerprint) or `model`.
    """

    path: Path
    name: str
    digest: str
    lineage: Mapping[str, str]


@contextmanager
def open_model(reference: str, tracker: Callable[[], Tracker]) -> Iterator[ModelSource]:
    """The detector that a user names.

    Args:
        reference: a .safetensors file or the directory of a stage that left one (each local or by URI), or
            `NAME`, `NAME@VERSION` or `NAME@ALIAS` of the model registry.
        tracker: opens the registry; called only when it is asked.

    Raises:
        UserError: nothing of that name, a stage without a detector or not complete.
    """
    storage, file = _split(reference)
    kind = _kind(storage, file, reference)
    if kind == pafs.FileType.File:
        if not reference.endswith(SUFFIX):
            raise UserError(
                f"{reference} is no {SUFFIX} file; detectors are read from those alone, as other formats can "
                "run code."
            )
        with storage.local_copy(file) as path:
            yield _source(path, reference, {"file": reference})
    elif kind == pafs.FileType.Directory:
        directory = storage.at(file)
        if not directory.exists(RECORD) or not directory.exists(WEIGHTS_FILE):
            what = "no finished stage" if not directory.exists(RECORD) else "a stage without a detector"
            raise UserError(
                f"{reference} is {what}; give the directory of a finetune or detector stage that is complete."
            )
        fingerprint = str(directory.read_json(RECORD)["fingerprint"])
        with directory.local_copy(WEIGHTS_FILE) as path:
            yield _source(path, f"{directory.uri}/{WEIGHTS_FILE}", {"artifact": fingerprint})
    elif reference.endswith(SUFFIX) or "/" in reference:
        raise UserError(
            f"{reference} does not exist; give a {SUFFIX} file, the directory of a finetune stage, or a "
            "registered model as NAME@ALIAS."
        )
    else:
        with registered_files(tracker(), reference) as files:
            found = sorted(files.folder.glob(f"*{SUFFIX}"))
            if len(found) != 1:
                raise UserError(
                    f"The model {files.model} holds {len(found)} {SUFFIX} files where one is a detector; "
                    "register it again."
                )
            yield _source(found[0], files.model, {"model": files.model})


def _split(reference: str) -> tuple[Storage, str]:
    """The folder and the last part of a path or URI."""
    whole = Storage.open(reference)
    folder, _, file = whole.path.rpartition("/")
    return Storage(whole.filesystem, folder), file


def _kind(storage: Storage, file: str, reference: str) -> pafs.FileType:
    try:
        return storage.filesystem.get_file_info(f"{storage.path}/{file}").type
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"{reference} can't be read ({reason}); give a file or folder that can.") from None


def _source(path: Path, name: str, lineage: Mapping[str, str]) -> ModelSource:
    with path.open("rb") as file:
        return ModelSource(path, name, hashlib.file_digest(file, "sha256").hexdigest(), lineage)
