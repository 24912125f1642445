"""Image files by a folder, a glob, a single path or a URI, without a corpus' config."""

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import Storage
from pipelines.corpus.entries import ROWS_AT_ONCE, table_of
from pipelines.corpus.named_references import WILDCARDS, glob_matches
from pipelines.images import IMAGE_SUFFIXES
from pipelines.layouts import Files, Tree, foreign_text, list_tree

IMAGE_FILES = pa.schema(
    [("uri", pa.string()), ("name", pa.string()), ("bytes", pa.int64()), ("modified", pa.int64())]
)


def find_images(where: str, *, tell: bool = True) -> pa.Table:
    """Every image that a path names, without hidden ones; schema `IMAGE_FILES`, by name.

    `name` is the path below the folder (or below the part before a glob's first wildcard).

    Args:
        where: a folder, an image, or a glob (`*`, `?`, `[…]` within a part of the path, `**` for any number
            of parts), each local or by URI. The name of an existing file or folder is never read as a glob.
        tell: whether to say which photographs are left out; False where the same is looked up again.

    Raises:
        UserError: nothing there, unreadable, or no image.
    """
    target = Storage.open(where)
    try:
        kind = target.filesystem.get_file_info(target.path).type
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise UserError(f"{where} can't be read ({reason}); give a folder, an image or a glob.") from None
    if kind == pafs.FileType.Directory:
        tree = list_tree(where, "IMAGES")
        if tell:
            _tell_foreign(where, tree.foreign)
        return _table(tree, tree.images)
    path = PurePosixPath(target.path)
    if kind == pafs.FileType.File:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise UserError(f"{where} is no image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
        folder = Storage(target.filesystem, str(path.parent))
        info = target.filesystem.get_file_info(target.path)
        state = int(info.size), int(info.mtime_ns or 0)
        tree = Tree(folder, Files.listed([(PurePosixPath(path.name), *state)]))
        return _table(tree, tree.images)
    wild = [place for place, part in enumerate(path.parts) if WILDCARDS & set(part)]
    if not wild:
        raise UserError(f"{where} does not exist; give a folder of images, an image or a glob.")
    base, pattern = path.parts[: wild[0]], "/".join(path.parts[wild[0] :])
    base_length = len(PurePosixPath(where.split("://", 1)[-1]).parts) - len(path.parts[wild[0] :])
    tree = list_tree(_first_parts(where, base_length), "IMAGES")
    images = tuple(image for image in tree.images if glob_matches(str(image), pattern))
    if tell:
        _tell_foreign(where, [path for path in tree.foreign if glob_matches(str(path), pattern)])
    if not images:
        raise UserError(f'No image below {PurePosixPath(*base)} fits "{pattern}".')
    return _table(tree, images)


def _tell_foreign(where: str, foreign: Sequence[PurePosixPath]) -> None:
    if foreign:
        say(f"{where}: left out: {foreign_text(foreign)}")


def listing_digest(files: pa.Table) -> str:
    """Changes when a file is added, removed or changed (by name, size and time)."""
    hasher = hashlib.sha256(b"[")
    rows = (row for batch in files.to_batches(ROWS_AT_ONCE) for row in batch.to_pylist())
    for place, row in enumerate(rows):
        hasher.update(f"{', ' if place else ''}{row!r}".encode())
    hasher.update(b"]")
    return hasher.hexdigest()


def _first_parts(where: str, count: int) -> str:
    """The first parts of a path or URI."""
    scheme, mark, rest = where.rpartition("://")
    parts = PurePosixPath(rest).parts[:count]
    return scheme + mark + (str(PurePosixPath(*parts)) if parts else "." if not mark else "")


def _table(tree: Tree, images: Sequence[PurePosixPath]) -> pa.Table:
    rows = (
        {"uri": tree.uri(image), "name": str(image), "bytes": about[0], "modified": about[1]}
        for image in images
        for about in (tree.files[image],)
    )
    return table_of(rows, IMAGE_FILES)
