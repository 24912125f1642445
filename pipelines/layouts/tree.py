"""The files below a source's root: images, and what may be annotations of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.fs as pafs

from cluster.errors import UserError
from cluster.storage import Storage, check_uri
from pipelines.images import IMAGE_SUFFIXES, MAX_FILE_BYTES, ImageError, read_bytes
from pipelines.layouts.files import Files, Paths
from pipelines.layouts.local_files import local_files
from pipelines.layouts.outline import json_keys, xml_root
from pipelines.layouts.roots import unusable_root

LABEL_SUFFIXES = frozenset({".xml", ".txt", ".json", ".csv", ".names"})
ANNOTATION_SUFFIXES = LABEL_SUFFIXES | {".yaml", ".yml"}
# Photographs of other kinds, which are told and not read; cameras' raw files are the last two lines.
FOREIGN_SUFFIXES = frozenset(
    {
        *(".gif", ".jfif", ".jpe", ".jp2", ".j2k", ".jpf", ".jpx", ".jxl", ".jxr", ".heic", ".heif", ".avif"),
        *(".pgm", ".ppm", ".pbm", ".pnm", ".pfm", ".tga", ".psd", ".exr", ".hdr", ".fits", ".raw", ".dng"),
        *(".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
    }
)
HEAD_BYTES = 64 << 10  # of a file that is looked into to find its format
SAMPLES = 16  # files of a suffix that are looked into


@dataclass(frozen=True)
class Tree:
    """A source's files, before any is read.

    Attributes:
        root: the source's folder.
        files: images and files with an annotation's suffix.
        foreign: paths of photographs of kinds that are not read, sorted.
        tables: files that `read` has read so far.
    """

    root: Storage
    files: Files
    foreign: Sequence[PurePosixPath] = ()
    tables: set[PurePosixPath] = field(default_factory=set, init=False, repr=False, compare=False)
    _heads: dict[PurePosixPath, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def images(self) -> Paths:
        """Paths with an image's suffix, masks among them."""
        return self.files.ending(IMAGE_SUFFIXES)

    def is_image(self, name: str) -> bool:
        """Whether one of `images` is of that name."""
        return (
            PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES and self.files.names.place(name) is not None
        )

    @cached_property
    def images_by_name(self) -> Mapping[str, list[PurePosixPath]]:
        """`images` by their names without folders."""
        by_name: dict[str, list[PurePosixPath]] = {}
        for path in self.images:
            by_name.setdefault(path.name, []).append(path)
        return by_name

    def ending(self, *suffixes: str) -> Paths:
        """Paths with one of these suffixes (lower case, with the dot)."""
        return self.files.ending(suffixes)

    def uri(self, path: PurePosixPath | str) -> str:
        """A file's local path, or a URI that `cluster.storage.locate` takes."""
        return self.root.uri_of(str(path))

    def read(self, path: PurePosixPath, limit: int = MAX_FILE_BYTES) -> bytes:
        """The bytes of a table that describes many images.

        Raises:
            UserError: unreadable, empty or larger than `limit`.
        """
        self.tables.add(path)
        try:
            return read_bytes(self.uri(path), limit)
        except ImageError as error:
            raise UserError(f"{self.uri(path)} can't be used: {error}; correct or remove it.") from None

    def samples(self, *suffixes: str) -> list[PurePosixPath]:
        """Up to 16 files with one of these suffixes, those in the fewest folders first."""
        return sorted(self.ending(*suffixes), key=lambda path: (len(path.parts), str(path)))[:SAMPLES]

    def head(self, path: PurePosixPath) -> bytes:
        """The first 64 KiB of a file, read once; to find out what it is, not to read labels.

        Raises:
            UserError: unreadable.
        """
        if path not in self._heads:
            try:
                with self.root.filesystem.open_input_file(f"{self.root.path}/{path}") as file:
                    self._heads[path] = bytes(file.read(HEAD_BYTES))
            except (OSError, pa.ArrowException) as error:
                reason = getattr(error, "strerror", None) or error
                raise UserError(f"{self.uri(path)} can't be read ({reason}); correct or remove it.") from None
        return self._heads[path]

    def json_keys(self, path: PurePosixPath) -> frozenset[tuple[str, ...]]:
        """The keys that the beginning of a JSON file shows, see `outline.json_keys`."""
        return json_keys(self.head(path))

    def xml_root(self, path: PurePosixPath) -> str:
        """The name of an XML file's first tag, see `outline.xml_root`."""
        return xml_root(self.head(path))


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
        found = Files.listed(listed)
    except (OSError, pa.ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = (
            "does not exist" if missing else f"can't be read ({getattr(error, 'strerror', None) or error})"
        )
        raise unusable_root(storage.uri, reason, key) from None
    foreign = found.ending(FOREIGN_SUFFIXES)
    tree = Tree(storage, found.without(FOREIGN_SUFFIXES) if foreign else found, foreign)
    if not tree.images:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        others = f", but {foreign_text(foreign)}, or" if foreign else ";"
        raise UserError(
            f"The image folder {storage.uri} holds no image ({kinds}){others} set {key} to one that does."
        )
    return tree


def foreign_text(foreign: Sequence[PurePosixPath]) -> str:
    """What is left out: `3 photographs of kinds that are not read (.gif, .heic; first a/b.heic)`, and a way.

    Args:
        foreign: paths, at least one.
    """
    kinds = ", ".join(sorted({path.suffix.lower() for path in foreign}))
    what = f"{len(foreign)} photographs of kinds that are not read"
    return f"{what} ({kinds}; first {foreign[0]}); save them as PNG or TIFF to have them in"


def _wanted(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | ANNOTATION_SUFFIXES | FOREIGN_SUFFIXES


def _remote_files(storage: Storage) -> Iterable[tuple[PurePosixPath, int, int]]:
    """Like `local_files`, for an object store, which has no links."""
    for info in storage.filesystem.get_file_info(pafs.FileSelector(storage.path, recursive=True)):
        path = PurePosixPath(info.path).relative_to(storage.path)
        hidden = any(part.startswith(".") for part in path.parts)
        if info.type == pafs.FileType.File and _wanted(path) and not hidden:
            yield path, int(info.size), int(info.mtime_ns or 0)
