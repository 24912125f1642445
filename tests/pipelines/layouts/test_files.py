"""A tree's files in arrays against a plain dict."""

from pathlib import PurePosixPath

from hypothesis import given, settings, strategies as st

from pipelines.layouts.files import Files

letters = st.sampled_from("abzAZ09äЖ😀 .-_")
part = st.text(letters, min_size=1, max_size=6).filter(lambda name: name.strip("."))
suffix = st.sampled_from(["", ".png", ".PNG", ".txt", ".heic"])
parts = st.lists(part, min_size=1, max_size=3)
paths = st.builds(lambda some, end: PurePosixPath(*some[:-1], some[-1] + end), parts, suffix)
number = st.integers(-(2**62), 2**62)


@given(st.lists(st.tuples(paths, number, number), max_size=8), paths)
@settings(max_examples=50)
def test_files_against_a_dict(found: list[tuple[PurePosixPath, int, int]], other: PurePosixPath) -> None:
    wanted = {path: (size, modified) for path, size, modified in found}
    ordered = sorted(wanted, key=str)
    files = Files.listed(iter(found))
    assert list(files) == ordered
    assert dict(files) == wanted
    assert (other in files, files.get(other)) == (other in wanted, wanted.get(other))
    assert files.state("\ud800") is None  # as a hostile table may name a file
    for suffixes in ({".png"}, {".txt", ".heic"}, {".none"}):
        ending = files.ending(suffixes)
        assert list(ending) == [path for path in ordered if path.suffix.lower() in suffixes]
        assert [ending[place] for place in range(len(ending))] == list(ending[:])
        left = files.without(suffixes)
        assert dict(left) == {path: wanted[path] for path in ordered if path.suffix.lower() not in suffixes}
        assert list(left.ending({".png"})) == [path for path in left if path.suffix.lower() == ".png"]
