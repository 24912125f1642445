"""Trained weights by file, stage artifact or registry name, all named in one way."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.registry import registered_files
from cluster.stages import RECORD
from cluster.storage import Storage
from cluster.tracking import Tracker
from training.starts.detector_file import WEIGHTS_FILE

SUFFIX = ".safetensors"
REGISTRY = "models:/"  # MLflow's own way to write a registered model


@dataclass(frozen=True)
class ModelSource:
    """Where weights are, on this machine.

    Attributes:
        path: the file's path; gone when the block of `open_model` ends.
        name: how messages and records name it: a path, or `NAME@VERSION` of the registry.
        digest: SHA-256 (hex) of the file.
        lineage: its origin: `file`, `artifact` (fingerprint) or `model`.
    """

    path: Path
    name: str
    digest: str
    lineage: Mapping[str, str]


@contextmanager
def open_model(
    reference: str,
    tracker: Callable[[], Tracker],
    *,
    files: Sequence[str] = (WEIGHTS_FILE,),
    suffixes: tuple[str, ...] = (SUFFIX,),
) -> Iterator[ModelSource]:
    """The weights that a user names.

    Args:
        reference: a file or the directory of a stage that left one (each local or by URI), or `NAME`,
            `NAME@VERSION` or `NAME@ALIAS` of the model registry, with or without `models:/` before it.
        tracker: opens the registry; called only when the registry is asked.
        files: names looked for in a stage's directory, by default a detector's.
        suffixes: suffixes of the files that are taken.

    Raises:
        UserError: nothing of that name, a stage without such a file or not complete.
    """
    if reference.startswith(REGISTRY):
        with _registered(reference.removeprefix(REGISTRY).replace("/", "@", 1), tracker) as source:
            yield source
        return
    storage, file = _split(reference)
    kind = _kind(storage, file, reference)
    if kind == pafs.FileType.File:
        if not reference.endswith(suffixes):
            raise UserError(
                f"{reference} is no {' or '.join(suffixes)} file; weights are read from those alone, as "
                "other formats can run code."
            )
        with storage.local_copy(file) as path:
            yield _source(path, reference, {"file": reference})
    elif kind == pafs.FileType.Directory:
        directory = storage.at(file)
        there = [name for name in files if directory.exists(name)]
        if not directory.exists(RECORD) or not there:
            what = "no finished stage" if not directory.exists(RECORD) else f"a stage without {files[0]}"
            raise UserError(
                f"{reference} is {what}; give the directory of a complete stage that left "
                f"{' or '.join(files)}."
            )
        fingerprint = str(directory.read_json(RECORD)["fingerprint"])
        with directory.local_copy(there[0]) as path:
            yield _source(path, f"{directory.uri}/{there[0]}", {"artifact": fingerprint})
    elif reference.endswith(suffixes) or "/" in reference:
        raise UserError(
            f"{reference} does not exist; give a {' or '.join(suffixes)} file, the directory of a stage that "
            f"left {' or '.join(files)}, or a registered model as NAME@ALIAS."
        )
    else:
        with _registered(reference, tracker) as source:
            yield source


@contextmanager
def _registered(reference: str, tracker: Callable[[], Tracker]) -> Iterator[ModelSource]:
    with registered_files(tracker(), reference) as files:
        weight_files = sorted(files.folder.glob(f"*{SUFFIX}"))
        if len(weight_files) != 1:
            raise UserError(
                f"The model {files.model} holds {len(weight_files)} {SUFFIX} files where one is its weights; "
                "register it again."
            )
        yield _source(weight_files[0], files.model, {"model": files.model})


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
