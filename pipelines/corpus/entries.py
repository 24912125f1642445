"""The images of a source in Arrow batches: each is an `Entry` only while it is looked at."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa

from pipelines.annotations import Annotation
from pipelines.layouts import Entry

ROWS_AT_ONCE = 4096
# Texts that many images share, such as class names in `content`, are kept once a batch.
_SHARED = pa.dictionary(pa.int32(), pa.string())
_NOTE = {"format": _SHARED, "files": pa.list_(pa.string()), "label": _SHARED, "content": _SHARED}
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("category", _SHARED),
        *((name, pa.bool_()) for name in ("normal", "defective", "labelled")),
        ("fault", _SHARED),
        ("doubt", _SHARED),
        ("published", pa.list_(pa.string())),
        *_NOTE.items(),  # null without an annotation; `crowds` is the source's, see `SourceListing.truth`
        ("empty_is_normal", pa.bool_()),
    ]
)
_CATEGORY = _SCHEMA.get_field_index("category")


T = TypeVar("T")


def in_pieces(rows: Iterable[T], size: int = ROWS_AT_ONCE) -> Iterator[list[T]]:
    """Rows, some thousand at once."""
    waiting = iter(rows)
    while piece := list(islice(waiting, size)):
        yield piece


def table_of(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table, of which some thousand are Python objects at once."""
    batches = (pa.RecordBatch.from_pylist(piece, schema=schema) for piece in in_pieces(rows))
    return pa.Table.from_batches(batches, schema=schema)


class Entries:
    """Entries in order, some 100 bytes each where a Python object takes 500; gone through at will.

    Args:
        batches: record batches with the fields of `Entry` and of its annotation.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch] = ()) -> None:
        self._batches: Sequence[pa.RecordBatch] = tuple(batches)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "Entries":
        """Some entries, taken one after the other."""
        return cls(_batch(some) for some in in_pieces(entries))

    def __len__(self) -> int:
        return sum(batch.num_rows for batch in self._batches)

    def __iter__(self) -> Iterator[Entry]:
        return (entry for some in self.pieces() for entry in some)

    def __add__(self, others: "Entries") -> "Entries":
        return Entries((*self._batches, *others._batches))

    def pieces(self) -> Iterator[list[Entry]]:
        """Some thousand entries at once."""
        for batch in self._batches:
            columns = (_values(batch.column(name)) for name in _SCHEMA.names)
            yield [_entry(*row) for row in zip(*columns, strict=True)]

    @property
    def categories(self) -> set[str]:
        """The categories of all."""
        return {name for batch in self._batches for name in batch.column(_CATEGORY).dictionary.to_pylist()}

    def renamed(self, rename: Callable[[str], str]) -> "Entries":
        """The entries with other categories.

        Args:
            rename: function from a category's name to its new one.
        """

        def names(column: pa.DictionaryArray) -> pa.DictionaryArray:
            new = pa.array(map(rename, column.dictionary.to_pylist()), pa.string())
            return pa.DictionaryArray.from_arrays(column.indices, new)

        return Entries(
            batch.set_column(_CATEGORY, _SCHEMA.field(_CATEGORY), names(batch.column(_CATEGORY)))
            for batch in self._batches
        )


def _batch(entries: Sequence[Entry]) -> pa.RecordBatch:
    columns: dict[str, list[Any]] = {
        name: [getattr(entry, name) for entry in entries] for name in _SCHEMA.names[: -len(_NOTE) - 1]
    }
    columns["published"] = [sorted(splits) for splits in columns["published"]]
    for name in (*_NOTE, "empty_is_normal"):
        columns[name] = [note and getattr(note, name) for note in (entry.annotation for entry in entries)]
    return pa.RecordBatch.from_pydict(columns, schema=_SCHEMA)


def _values(column: pa.Array) -> list[Any]:
    if not isinstance(column, pa.DictionaryArray):
        return list(column.to_pylist())
    texts = column.dictionary.to_pylist()
    return [None if place is None else texts[place] for place in column.indices.to_pylist()]


def _entry(
    path: str,
    category: str,
    normal: bool,
    defective: bool,
    labelled: bool,
    fault: str | None,
    doubt: str | None,
    published: list[str],
    style: str | None,
    files: list[str],
    label: str | None,
    content: str,
    empty_is_normal: bool,
) -> Entry:
    note = None if style is None else Annotation(style, tuple(files), label, content, empty_is_normal)
    return Entry(path, category, normal, defective, labelled, note, fault, doubt, frozenset(published))
