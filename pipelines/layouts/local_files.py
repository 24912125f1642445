"""The files below a local folder, with links kept inside it: a data set of strangers may link anywhere."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from cluster.errors import UserError


def local_files(
    root: Path, wanted: Callable[[PurePosixPath], bool], key: str, *, follow_links: bool
) -> Iterator[tuple[PurePosixPath, int, int]]:
    """Relative path, bytes and modification time (ns) of each wanted file, unordered, without hidden ones.

    A link to a file below the root lists that file again. A link to a folder below the root is skipped: its
    files are listed already.

    Args:
        root: the folder; may be a link itself.
        wanted: function that says whether the file of a relative path is wanted.
        key: dotted path of the config's `follow_links`, for the message.
        follow_links: whether links may lead out of the root; a folder is listed once, so that circles end.

    Raises:
        UserError: a link leads out of the root and must not; a name that is no UTF-8.
        OSError: the root or a folder below it can't be listed.
    """
    top = root.resolve()
    listed = {_identity(top)}
    folders = [(root, PurePosixPath(), False)]
    while folders:
        folder, below, linked = folders.pop()
        with os.scandir(folder) as entries:
            children = sorted(entries, key=lambda entry: entry.name)
        for entry in children:
            if entry.name.startswith("."):
                continue
            name, path = below / entry.name, Path(entry.path)
            if not entry.is_symlink():
                if entry.is_dir(follow_symlinks=False):
                    known = (identity := _identity(path)) in listed
                    listed.add(identity)
                    if not (linked and known):  # below the root itself all are new, whatever their numbers
                        folders.append((path, name, linked))
                    continue
            elif not path.exists():  # a link to nothing, or to itself
                continue
            elif path.is_dir() or wanted(name):
                target = path.resolve()
                inside = target.is_relative_to(top)
                if not (inside or follow_links):
                    raise UserError(
                        f"{path} is a link that leads out of {root}, to {target}; put a copy in its place "
                        f"or, if you trust the links of this folder, set {key}=true."
                    )
                if path.is_dir():
                    if not inside and (identity := _identity(target)) not in listed:
                        listed.add(identity)
                        folders.append((path, name, True))
                    continue
            if wanted(name) and entry.is_file():
                yield _utf8(name, root), (state := entry.stat()).st_size, state.st_mtime_ns


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _utf8(name: PurePosixPath, root: Path) -> PurePosixPath:
    try:
        str(name).encode()
    except UnicodeEncodeError:
        readable = os.fsencode(str(name)).decode(errors="replace")
        raise UserError(f"{root}/{readable} has a name that is no UTF-8; rename it.") from None
    return name
