"""Workspace storage: one small interface over local disks and object stores (pyarrow filesystems)."""

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from cluster.errors import UserError
from cluster.storage.locations import has_folders, locate, uri_of

PIECE = 8 << 20  # bytes of an upload
FILES_AT_ONCE = 256  # of a table that is read
PIECE_ROWS = 4096  # of a table that is gone through row by row
UPLOADS = 16  # at once; an object store answers a small one in tens of milliseconds
COPIED_BYTES = 16 << 20  # by one request; pyarrow's own are sixteen times as many


@dataclass(frozen=True)
class Storage:
    """A directory on a pyarrow filesystem.

    Attributes:
        filesystem: the filesystem that holds the bytes.
        path: the directory's path inside it, without a trailing slash.
    """

    filesystem: pafs.FileSystem
    path: str

    @classmethod
    def open(cls, uri: str) -> "Storage":
        """Open a directory by local path or URI (`s3://…`, `file://…`), without creating it.

        Raises:
            UserError: the URI's scheme is unknown or its parts are wrong.
        """
        try:
            filesystem, path = locate(uri)
        except (pa.ArrowException, ValueError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{uri} is not a storage location this platform can open: {reason}.") from None
        return cls(filesystem, path.rstrip("/"))

    @property
    def is_local(self) -> bool:
        """Whether the files can be opened by path on this machine."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    @property
    def uri(self) -> str:
        """A local path, or a quoted `scheme://path`."""
        return uri_of(self.filesystem, self.path)

    def uri_of(self, name: str) -> str:
        """Where a file below this directory is: a local path or a URI."""
        return uri_of(self.filesystem, f"{self.path}/{name}")

    def at(self, *parts: str) -> "Storage":
        """A directory below this one."""
        return Storage(self.filesystem, "/".join([self.path, *parts]))

    def create(self) -> None:
        """Make the directory and prove that it can be written.

        Raises:
            UserError: it can't.
        """
        probe = f"{self.path}/.write-probe-{secrets.token_hex(8)}"  # one of its own for each thread, too
        try:
            self.filesystem.create_dir(self.path, recursive=True)
            with self.filesystem.open_output_stream(probe) as stream:
                stream.write(b"ok")
            self.filesystem.delete_file(probe)
        except OSError as error:
            reason = error.strerror or str(error).splitlines()[0]
            raise UserError(
                f"The workspace {self.uri} can't be written ({reason}); choose another with workspace=DIR."
            ) from None

    def exists(self, name: str = "") -> bool:
        """Whether a file or directory of that name is here."""
        path = f"{self.path}/{name}" if name else self.path
        return bool(self.filesystem.get_file_info(path).type != pafs.FileType.NotFound)

    def read(self, name: str) -> bytes:
        """The bytes of a file; of an object store by one request, where a stream takes one each 256 KiB."""
        with self.filesystem.open_input_file(f"{self.path}/{name}") as file:
            return bytes(file.read())

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole: readers see the old bytes or the new, never a part."""
        if self.is_local:
            with self.writing(name) as file:
                file.write(data)
            return
        with self._upload(name) as stream:
            stream.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A large file to write piece by piece: it is there, whole, once the block has ended well."""
        if not self.is_local:  # a stream that breaks off would be published as it is
            with tempfile.TemporaryFile() as file:
                yield file
                file.seek(0)
                with self._upload(name) as stream:
                    shutil.copyfileobj(file, stream, PIECE)
            return
        target = f"{self.path}/{name}"
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        partial = f"{target}.{secrets.token_hex(4)}.partial"  # others may write the same file, on any machine
        try:
            with Path(partial).open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(partial).replace(target)
        except BaseException as error:
            Path(partial).unlink(missing_ok=True)  # on a full disk it would keep what little is left
            if isinstance(error, OSError) and error.errno is not None and error.filename is None:
                error.filename = target  # a write's own error names no file
            raise

    def _upload(self, name: str) -> pa.NativeFile:
        """A stream that is published when it is closed."""
        target = f"{self.path}/{name}"
        if has_folders(self.filesystem):
            self.filesystem.create_dir(target.rsplit("/", 1)[0], recursive=True)
        return self.filesystem.open_output_stream(target)

    def write_many(self, files: Iterable[tuple[str, Callable[[], bytes]]]) -> None:
        """Write many small files of one stage: no sync for each, side by side where each is a request.

        Not for files that a reader may look for before the stage is complete.

        Args:
            files: names, and what gives their bytes (called in several threads).
        """
        folders = set[Path]()

        def write(file: tuple[str, Callable[[], bytes]]) -> None:
            name, data = file
            if not self.is_local:
                self.write(name, data())
                return
            path = Path(self.path) / name
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            path.write_bytes(data())

        rest = iter(files)
        with ThreadPoolExecutor(1 if self.is_local else UPLOADS) as pool:
            while batch := list(islice(rest, 64 * UPLOADS)):
                list(pool.map(write, batch))
        for folder in folders:
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def read_json(self, name: str) -> Any:
        """A JSON file's content."""
        return json.loads(self.read(name))

    def write_json(self, name: str, content: Any) -> None:
        """Write JSON, indented, atomically."""
        self.write(name, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file, or a directory of them, as one table."""
        path = f"{self.path}/{name}"
        files = self._tables_in(path)
        if len(files) <= FILES_AT_ONCE:
            return pq.read_table(path, filesystem=self.filesystem, columns=columns)
        # A table's files are held with their footers, some 27 kB each, until all are read.
        groups = (files[start : start + FILES_AT_ONCE] for start in range(0, len(files), FILES_AT_ONCE))
        return pa.concat_tables(
            pq.read_table(group, filesystem=self.filesystem, columns=columns) for group in groups
        )

    def _tables_in(self, path: str) -> list[str]:
        """The files of a directory that is one table, sorted; none for a file and where folders are in it."""
        if self.filesystem.get_file_info(path.rstrip("/")).type != pafs.FileType.Directory:
            return []
        infos = self.filesystem.get_file_info(pafs.FileSelector(path))
        if any(info.type != pafs.FileType.File for info in infos):
            return []
        return sorted(info.path for info in infos if not info.base_name.startswith((".", "_")))

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write one Parquet file atomically (zstd)."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write(name, sink.getvalue().to_pybytes())

    def write_pieces(self, name: str, schema: pa.Schema, pieces: Iterable[pa.Table]) -> None:
        """Write one Parquet file atomically (zstd), of tables that need not fit into memory together."""
        with (
            self.writing(name) as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for piece in pieces:
                writer.write_table(piece)

    def read_pieces(self, name: str, rows: int = PIECE_ROWS) -> Iterator[pa.Table]:
        """The rows of a Parquet file in order, so many at once."""
        with self.filesystem.open_input_file(f"{self.path}/{name}") as file, pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(rows):
                yield pa.Table.from_batches([batch])

    def delete(self, name: str) -> None:
        """Remove a file or a directory with all it holds; absent is fine."""
        path = f"{self.path}/{name}"
        kind = self.filesystem.get_file_info(path).type
        if kind == pafs.FileType.Directory:
            self.filesystem.delete_dir(path)
        elif kind == pafs.FileType.File:
            self.filesystem.delete_file(path)

    def children(self) -> list[str]:
        """Names of what lies directly below, sorted; empty when the directory is absent."""
        selector = pafs.FileSelector(self.path, allow_not_found=True)
        return sorted(info.base_name for info in self.filesystem.get_file_info(selector))

    @contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """A local path, for libraries that open nothing else; of a remote file or folder a temporary copy."""
        if self.is_local:
            yield Path(self.path) / name
            return
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / Path(name).name
            if self.filesystem.get_file_info(f"{self.path}/{name}").type == pafs.FileType.Directory:
                target.mkdir()  # pyarrow makes none for a folder that holds files only
            pafs.copy_files(
                f"{self.path}/{name}",
                str(target),
                source_filesystem=self.filesystem,
                destination_filesystem=pafs.LocalFileSystem(),
                chunk_size=COPIED_BYTES,
            )
            yield target

    def put(self, local: Path, name: str) -> None:
        """Copy a local file or directory here under `name`, replacing what was there."""
        if local.is_file():
            self.write(name, local.read_bytes())
            return
        self.delete(name)
        if self.is_local:
            shutil.copytree(local, Path(self.path) / name)
            return
        self.filesystem.create_dir(f"{self.path}/{name}", recursive=True)
        pafs.copy_files(
            str(local),
            f"{self.path}/{name}",
            source_filesystem=pafs.LocalFileSystem(),
            destination_filesystem=self.filesystem,
        )
