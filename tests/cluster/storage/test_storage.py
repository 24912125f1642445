"""Storage: whole writes, and places that can't be written."""

import io
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings, strategies as st

from cluster.errors import UserError
from cluster.storage import storage as storage_module
from cluster.storage.locations import locate
from cluster.storage.storage import Storage


@pytest.fixture(params=["local", "remote", pytest.param("s3", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A local directory, one on a filesystem that isn't opened by path, and one in a real object store."""
    if request.param == "s3":
        request.getfixturevalue("in_swift")
        return Storage.open(f"s3://plant/{tmp_path.name}/a%20name%20%231%20100%25")
    if request.param == "local":
        return Storage.open(str(tmp_path / "w"))
    return Storage(pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem()), "w")


def test_files_tables_and_folders(storage: Storage, tmp_path: Path) -> None:
    storage.create()
    storage.write("a/b.bin", b"x")
    storage.write_json("c.json", {"b": 1, "a": [1.5, None]})
    table = pa.table({"n": [1, 2], "s": ["a", "b"]})
    storage.write_table("t.parquet", table)
    assert storage.read("a/b.bin") == b"x"
    assert storage.at("a").read("b.bin") == b"x"
    assert storage.read_json("c.json") == {"a": [1.5, None], "b": 1}
    assert storage.read_table("t.parquet").equals(table)
    assert storage.read_table("t.parquet", ["s"]).column_names == ["s"]
    assert storage.children() == ["a", "c.json", "t.parquet"]
    assert (storage.exists(), storage.exists("a"), storage.exists("z")) == (True, True, False)
    with storage.local_copy("a/b.bin") as path:
        assert path.read_bytes() == b"x"
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "new.txt").write_text("n")
    (source / "deep" / "er.txt").write_text("d")
    storage.put(source, "a")
    assert storage.at("a").children() == ["deep", "new.txt"]
    assert storage.read("a/deep/er.txt") == b"d"
    with storage.local_copy("a") as folder:
        assert (folder / "deep" / "er.txt").read_text() == "d"
    storage.put(source / "new.txt", "single.txt")
    assert storage.read("single.txt") == b"n"
    for name in ("a", "c.json", "absent"):
        storage.delete(name)
    assert storage.children() == ["single.txt", "t.parquet"]
    assert storage.at("nowhere").children() == []


class CountedReads(MemoryFileSystem):  # type: ignore[misc]
    """Files in memory; a read of theirs is what a request is of an object store's."""

    cachable = False  # an instance of its own for each test

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            return super().open(path, mode, **options)
        files, file = self, io.BytesIO(self.cat_file(path))

        class Counted(io.BufferedReader):
            def read(self, size: int | None = -1) -> bytes:
                data = super().read(size)
                files.reads += bool(data)  # the end is a read that finds nothing
                return data

        return Counted(file)


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_a_file_is_read_at_once(size: int, tmp_path: Path) -> None:
    files = CountedReads()
    remote = Storage(pafs.PyFileSystem(pafs.FSSpecHandler(files)), f"/{tmp_path.name}")
    data = os.urandom(size)
    files.pipe(f"/{tmp_path.name}/a.bin", data)
    assert remote.read("a.bin") == data
    assert files.reads <= 1
    with remote.local_copy("a.bin") as path:
        assert path.read_bytes() == data
    assert files.reads <= 2


def test_many_small_files(storage: Storage) -> None:
    storage.write_many((f"{number % 3}/{number}.txt", str(number).encode) for number in range(40))
    for folder in range(3):
        names = storage.at(str(folder)).children()
        assert names == sorted(f"{number}.txt" for number in range(40) if number % 3 == folder)
        assert all(storage.at(str(folder)).read(name) == name.removesuffix(".txt").encode() for name in names)


def test_a_fault_in_one_of_many_is_raised(storage: Storage) -> None:
    def broken() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        storage.write_many([("a", bytes), ("b", broken)])


def test_a_uri_leads_back(storage: Storage) -> None:
    storage.write("some file#1.bin", b"x")
    if not storage.uri.startswith("subtree"):  # no scheme of its own
        assert Storage.open(storage.uri) == storage
        filesystem, path = locate(storage.uri_of("some file#1.bin"))
        assert filesystem.get_file_info(path).size == 1


@pytest.mark.slow
def test_a_bucket_has_one_client_until_its_environment_changes(
    in_swift: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, path = locate("s3://plant/a%20b/c")
    assert path == "plant/a b/c"
    assert locate("s3://plant/other")[0] is first
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    other, path = locate("s3://plant/a%20b/c")
    assert other is not first
    with pytest.raises(OSError, match="AWS Error"):
        other.get_file_info(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_a_failed_write_leaves_the_old_bytes(tmp_path: Path, old: bytes, new: bytes) -> None:
    storage = Storage.open(str(tmp_path))
    storage.write("f", old)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            storage.write("f", new)
    assert storage.read("f") == old
    storage.write("f", new)
    assert storage.read("f") == new


def test_readers_never_see_a_part(tmp_path: Path) -> None:
    storage, other = Storage.open(str(tmp_path)), Storage.open(str(tmp_path))
    sizes = [10, 200_000]
    storage.write("f", b"0" * sizes[0])
    stop = threading.Event()
    seen: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(len(other.read("f")))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(30):
        storage.write("f", b"0" * sizes[number % 2])
    stop.set()
    reader.join()
    assert seen <= set(sizes)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UserError, match="workspace=DIR"):
            Storage.open(str(path)).create()


def test_create_leaves_nothing_behind(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path / "a" / "b"))
    storage.create()
    storage.create()
    assert storage.children() == []


@pytest.mark.parametrize("uri", ["nosuch://bucket/x", "://", "s3n://"])
def test_unknown_schemes_are_told(uri: str) -> None:
    with pytest.raises(UserError, match="storage location"):
        Storage.open(uri)


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Storage.open("w").uri == str(tmp_path / "w")
    assert Storage.open("~/w").uri == str(tmp_path / "home" / "w")
    assert Storage.open(f"file://{tmp_path}/w/").uri == str(tmp_path / "w")


def test_a_flat_folder_is_copied_from_remote(tmp_path: Path) -> None:
    remote = Storage(pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem()), "w")
    remote.write("a/b.bin", b"x")
    with remote.local_copy("a") as folder:
        assert (folder / "b.bin").read_bytes() == b"x"


def test_a_file_in_pieces_is_there_whole_or_not_at_all(storage: Storage) -> None:
    with storage.writing("a/large") as file:
        file.write(b"one ")
        assert not storage.exists("a/large")
        file.write(b"two")
    assert storage.read("a/large") == b"one two"

    def broken() -> None:
        with storage.writing("a/large") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert storage.read("a/large") == b"one two"
    assert storage.at("a").children() == ["large"]


def test_a_table_in_pieces_and_of_many_files(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = pa.schema([("number", pa.int64()), ("name", pa.string())])
    pieces = [
        pa.table({"number": range(start, start + 3), "name": ["x"] * 3}, schema=schema) for start in (0, 3, 6)
    ]
    storage.write_pieces("whole.parquet", schema, iter(pieces))
    whole = storage.read_table("whole.parquet")
    assert whole.equals(pa.concat_tables(pieces))
    assert [piece.num_rows for piece in storage.read_pieces("whole.parquet", 4)] in ([4, 4, 1], [3, 3, 3])
    assert pa.concat_tables(storage.read_pieces("whole.parquet", 4)).equals(whole)
    storage.write_pieces("empty.parquet", schema, [])
    assert storage.read_table("empty.parquet").equals(schema.empty_table())
    for number, piece in enumerate(pieces):
        storage.write_table(f"many/{number}.parquet", piece)
    monkeypatch.setattr(storage_module, "FILES_AT_ONCE", 2)
    assert storage.read_table("many").equals(whole)
    assert storage.read_table("many", columns=["name"]).equals(whole.select(["name"]))
    assert storage.at("many").read_table("").equals(whole)
