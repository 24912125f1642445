"""Entries come back from their batches as they went in."""

from dataclasses import replace

from hypothesis import given, settings, strategies as st

from pipelines.annotations import Annotation
from pipelines.corpus.entries import ROWS_AT_ONCE, Entries
from pipelines.layouts import Entry

word = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
annotations = st.builds(
    Annotation,
    st.sampled_from(["voc", "yolo"]),
    st.lists(word, max_size=2).map(tuple),
    st.none() | word,
    word,
    st.booleans(),
)
entries = st.builds(
    Entry,
    word,
    word,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | annotations,
    st.none() | word,
    st.none() | word,
    st.frozensets(st.sampled_from(["train", "val", "test"])),
)


@given(st.lists(entries, max_size=8), st.lists(entries, max_size=3))
@settings(max_examples=50)
def test_entries_come_back(first: list[Entry], second: list[Entry]) -> None:
    both = Entries.of(iter(first)) + Entries.of(second)
    assert list(both) == [*first, *second]
    assert len(both) == len(first) + len(second)
    assert both.categories == {entry.category for entry in [*first, *second]}
    renamed = both.renamed(lambda name: name[:1])
    assert list(renamed) == [replace(entry, category=entry.category[:1]) for entry in [*first, *second]]
    assert renamed.categories == {entry.category[:1] for entry in [*first, *second]}


def test_more_than_a_batch() -> None:
    many = [Entry(f"{number}.png", f"c{number % 3}") for number in range(2 * ROWS_AT_ONCE + 1)]
    kept = Entries.of(many)
    assert list(kept) == many
    assert [len(piece) for piece in kept.pieces()] == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
