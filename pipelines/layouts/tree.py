"""The files below a source's root: images, and what may be annotations of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.storage import Storage, check_uri
from pipelines.images import IMAGE_SUFFIXES, MAX_FILE_BYTES, ImageError, read_bytes
from pipelines.layouts.local_files import local_files

ANNOTATION_SUFFIXES = frozenset({".xml", ".txt", ".json", ".csv", ".yaml", ".yml"})


@dataclass(frozen=True)
class Tree:
    """A source's files, before any is read.

    Attributes:
        root: the source's folder.
        files: relative path → (bytes, modified in ns), sorted; images and files with an annotation's suffix.
    """

    root: Storage
    files: Mapping[PurePosixPath, tuple[int, int]]

    @cached_property
    def images(self) -> tuple[PurePosixPath, ...]:
        """Paths with an image's suffix, masks among them."""
        return tuple(path for path in self.files if path.suffix.lower() in IMAGE_SUFFIXES)

    def ending(self, *suffixes: str) -> list[PurePosixPath]:
        """Paths with one of these suffixes (lower case, with the dot)."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def uri(self, path: PurePosixPath | str) -> str:
        """A file's local path, or a URI that `cluster.storage.locate` takes."""
        return self.root.uri_of(str(path))

    def read(self, path: PurePosixPath, limit: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of a table that describes many images.

        Raises:
            UserError: unreadable, empty or larger than `limit`.
        """
        try:
            return read_bytes(self.uri(path), limit)
        except ImageError as error:
            raise UserError(f"{self.uri(path)} can't be used: {error}; correct or remove it.") from None


def list_tree(root: str, key: str, *, follow_links: bool = True) -> Tree:
    """The files below a folder, without hidden ones.

    Args:
        root: local path or URI.
        key: dotted path of the config, for the message.
        follow_links: whether links in a local folder may lead out of it.

    Raises:
        UserError: the folder is missing, unreadable or holds no image file; a link leads out of it and must
            not.
    """
    check_uri(root, key)
    storage = Storage.open(root)
    links = f"{key.rpartition('.')[0]}.follow_links"
    try:
        listed: Iterable[tuple[PurePosixPath, int, int]] = (
            local_files(Path(storage.path), _wanted, links, follow_links=follow_links)
            if storage.is_local
            else _remote_files(storage)
        )
        files = {path: (size, modified) for path, size, modified in listed}
    except (OSError, pa.ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = (
            "does not exist" if missing else f"can't be read ({getattr(error, 'strerror', None) or error})"
        )
        raise UserError(
            f"The image folder {storage.uri} {reason}; set {key} to a folder of images."
        ) from None
    tree = Tree(storage, {path: files[path] for path in sorted(files, key=str)})
    if not tree.images:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise UserError(
            f"The image folder {storage.uri} holds no image ({kinds}); set {key} to one that does."
        )
    return tree


def _wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | ANNOTATION_SUFFIXES


def _remote_files(storage: Storage) -> Iterable[tuple[PurePosixPath, int, int]]:
    """Like `local_files`, for an object store, which has no links."""
    for info in storage.filesystem.get_file_info(pafs.FileSelector(storage.path, recursive=True)):
        path = PurePosixPath(info.path).relative_to(storage.path)
        hidden = any(part.startswith(".") for part in path.parts)
        if info.type == pafs.FileType.File and _wanted(path) and not hidden:
            yield path, int(info.size), int(info.mtime_ns or 0)
