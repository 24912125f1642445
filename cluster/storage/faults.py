"""A disk that fills up or a workspace that goes away while a command runs: one sentence for it."""

import errno
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.errors import UserError
from cluster.storage.storage import Storage

FULL = (errno.ENOSPC, errno.EDQUOT)
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENOTCONN)
# Workers' errors come as text where a library has wrapped them.
FULL_WORDS = ("No space left on device", "Disk quota exceeded", "database or disk is full")
GONE_WORDS = ("No such file or directory", "Not a directory", "Stale file handle", "not connected")
# SQLite's own words when its file is no longer what was opened.
DATABASE_WORDS = (
    "unable to open database file",
    "attempt to write a readonly database",
    "disk I/O error",
    "no such table",
    "database disk image is malformed",
)
LITTLE = 64 << 20  # bytes: a disk with less left is one that could not take a file of ours
RESUME = "run the same command again: it goes on where it stopped"


class RemovedError(RuntimeError):
    """A directory was removed while a stage wrote into it."""


@contextmanager
def workspace_faults(workspace: Storage) -> Iterator[None]:
    """Within the block, a full disk or a lost workspace is a `UserError` that says what to do.

    The errors in full, of workers and libraries too, go into a file of their own, which the sentence names.

    Args:
        workspace: root of all that the block writes; exists.

    Raises:
        UserError: the disk is full; the workspace or a file of it was removed, or can't be reached any more.
    """
    before = _identity(workspace)
    try:
        yield
    except Exception as error:
        sentence = _sentence(error, workspace, lost=_identity(workspace) != before)
        if sentence is None:
            raise
        raise UserError(sentence + _kept(error)) from error


def no_space(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is that of a full disk."""
    return any(_is_full(one) for one in causes(error, handled=True))


def causes(error: BaseException, *, handled: bool = False) -> Iterator[BaseException]:
    """An error and all that it came from, newest first: Python's causes, SQLAlchemy's, those of Ray's tasks.

    Args:
        error: the error.
        handled: whether those count too that were being handled when another was raised.
    """
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        failures = getattr(one, "worker_failures", None)  # Ray Train's, by rank
        origins = [one.__cause__, getattr(one, "cause", None), getattr(one, "orig", None)]
        origins += [one.__context__] if handled else []
        origins += list(failures.values()) if isinstance(failures, dict) else []
        waiting += [origin for origin in origins if isinstance(origin, BaseException)]


def _sentence(error: Exception, workspace: Storage, lost: bool) -> str | None:
    if lost:
        return (
            f"{workspace.uri} was removed, moved away or unmounted while the command ran; bring it back, "
            f"then {RESUME}; without it the command begins anew."
        )
    if no_space(error):
        return _full_sentence(list(causes(error, handled=True)), workspace)
    if isinstance(error, UserError):
        return None
    chain = list(causes(error))
    for one in chain:
        if isinstance(one, RemovedError):
            return f"{one}; {RESUME} and makes anew what is missing."
        if (place := _missing(one, workspace)) is not None:
            return f"{place} was removed while the command ran; {RESUME} and makes anew what is missing."
    for one in chain:
        for words in DATABASE_WORDS:
            if words in str(one) and "sqlite3" in str(one) + type(one).__module__:
                return (
                    f"MLflow's database can't be used any more ({words}); see that it is there and may be "
                    f"written (mlflow.db in {workspace.uri}, or that of tracking.uri), then {RESUME}."
                )
    return None


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return any(words in str(error) for words in FULL_WORDS)


def _full_sentence(errors: list[BaseException], workspace: Storage) -> str:
    files = [one.filename for one in errors if isinstance(one, OSError) and _is_full(one)]
    named = [str(name) for name in files if str(name).startswith("/")]  # Ray puts sentences there
    places = [*([workspace.path] if workspace.is_local else []), tempfile.gettempdir()]
    if elsewhere := [name for name in named if not _below(name, workspace)]:
        where = elsewhere[0]
    elif named:
        where = workspace.path
    else:  # the error names no file: which disk has little left?
        where = next((place for place in places if _is_short(place)), " or ".join(places))
    return f"No space is left on the disk of {where}; free some, then {RESUME}."


def _missing(error: BaseException, workspace: Storage) -> str | None:
    """What of the workspace an error says is not there; None where it says nothing such."""
    if not workspace.is_local or not isinstance(error, OSError):
        return None
    if error.errno not in GONE and not any(words in str(error) for words in GONE_WORDS):
        return None
    if error.filename is not None:
        return str(error.filename) if _below(str(error.filename), workspace) else None
    return f"A file of {workspace.uri}" if workspace.path + "/" in str(error) else None


def _below(name: str, workspace: Storage) -> bool:
    return workspace.is_local and (name + "/").startswith(workspace.path + "/")


def _is_short(place: str) -> bool:
    try:
        return shutil.disk_usage(place).free < LITTLE
    except OSError:
        return False


def _identity(workspace: Storage) -> tuple[int, int] | None:
    """Which directory a path leads to; None for none, and for an object store."""
    if not workspace.is_local:
        return None
    try:
        state = Path(workspace.path).stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _kept(error: Exception) -> str:
    """Where the errors in full are kept; nothing where that disk is full too."""
    name = None
    try:
        handle, name = tempfile.mkstemp(prefix="agssp-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        if name is not None:
            with suppress(OSError):
                Path(name).unlink()
        return ""
    return f" The errors in full: {name}"
