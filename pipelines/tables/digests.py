"""What tables hold, as a digest that neither files' times nor Parquet's writer change."""

import hashlib

import pyarrow as pa

from cluster.storage import Storage
from pipelines.tables.corpus_tables import MANIFEST_FOLDER

TABLE = ".parquet"


class _Hash:
    """A file to write to that keeps a hash alone."""

    closed = False

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.hash.update(content)
        return len(content)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True


def table_digest(table: pa.Table) -> str:
    """Sha256 (hex) of a table's columns, types and rows in order, however it is cut into chunks."""
    plain = table.replace_schema_metadata().combine_chunks()
    sink = _Hash()
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, plain.schema) as stream:
        stream.write_table(plain)
    return sink.hash.hexdigest()


def tables_digests(directory: Storage) -> dict[str, str]:
    """`table_digest` of each table in a corpus' directory, by file name."""
    names = [MANIFEST_FOLDER, *(name for name in directory.children() if name.endswith(TABLE))]
    return {name: table_digest(directory.read_table(name)) for name in names}
