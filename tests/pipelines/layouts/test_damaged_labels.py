"""Label files of every format, damaged at random: rows or a sentence, and never an image called normal.

AGSSP_DAMAGED_EXAMPLES sets the damaged files of each format, 20 by default; by hand, about 12,000 in all:

    AGSSP_DAMAGED_EXAMPLES=350 python -m pytest -q tests/pipelines/layouts/test_damaged_labels.py
"""

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from cluster.errors import UserError
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from tests.pipelines.layouts.damaged_trees import FORMATS

EXAMPLES = int(os.environ.get("AGSSP_DAMAGED_EXAMPLES", "20"))
TOKEN = re.compile(rb'"[^"\n]*"|[^\s,<>":{}\[\]]+')
JUNK = (
    b'null', b'true', b'""', b'"7"', b'7.0', b'"x"', b'[]', b'{}', b'[[1]]', b'-1', b'0', b'1', b'2', b'99',
    b'1e999', b'-0.0', b'NaN', b'nan',
    b'1' * 30, b'9' * 5000, b'', b'\x00', b'\xff\xfe', b'..', b'/etc/passwd',
    "é٣".encode(), b'a.jpg', b'1.jpg', b'0.5',
)  # fmt: skip

Damage = Callable[[bytes], bytes]


def flip(at: float, value: int) -> Damage:
    """Another byte at a place."""
    return lambda data: data[: int(at * len(data))] + bytes([value]) + data[int(at * len(data)) + 1 :]


def cut(at: float) -> Damage:
    """The beginning only."""
    return lambda data: data[: int(at * len(data))]


def without_line(at: float, count: int) -> Damage:
    """Some lines lost."""

    def damage(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        start = int(at * len(lines))
        return b"".join(lines[:start] + lines[start + count :])

    return damage


def twice(at: float) -> Damage:
    """A line a second time."""

    def damage(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        start = int(at * len(lines))
        return b"".join(lines[: start + 1] + lines[start:])

    return damage


def retyped(at: float, junk: bytes) -> Damage:
    """Another value in the place of a name, text or number."""

    def damage(data: bytes) -> bytes:
        tokens = list(TOKEN.finditer(data))
        if not tokens:
            return junk
        token = tokens[int(at * len(tokens))]
        return data[: token.start()] + junk + data[token.end() :]

    return damage


PLACE = st.floats(0, 1, exclude_max=True)
DAMAGE: st.SearchStrategy[Damage] = st.one_of(
    st.builds(flip, PLACE, st.integers(0, 255)),
    st.builds(cut, PLACE),
    st.builds(without_line, PLACE, st.integers(1, 4)),
    st.builds(twice, PLACE),
    st.builds(retyped, PLACE, st.sampled_from(JUNK)),
    st.builds(retyped, PLACE, st.sampled_from(JUNK)),
)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, bytes, frozenset[str]]]:
    """Name of a format → its clean tree, written once, the clean file, and its normal images."""

    @cache
    def root_of(name: str) -> tuple[Path, bytes, frozenset[str]]:
        chosen = FORMATS[name]
        root = tmp_path_factory.mktemp("tree")
        chosen.build(root)
        return root, (root / chosen.file).read_bytes(), trusted(root, chosen.layout)

    return root_of


def trusted(root: Path, layout: str) -> frozenset[str]:
    """The images that are called normal, by path: only they may become references."""
    listing = Listing(CorpusSection(root=str(root), layout=layout))
    table = listing.table()
    # Images without annotation are looked at for nothing but their pixels.
    labelled = table.filter(pc.or_(pc.is_valid(table["annotation"]), pc.is_valid(table["fault"])))
    rows = [row for row in table.to_pylist() if row["annotation"] is None and row["fault"] is None]
    rows = [{**row, "error": None, "boxes": []} for row in rows] + inspect(labelled).to_pylist()
    assert len({row["uri"] for row in rows}) == len(rows)
    assert not any(row["normal"] and row["boxes"] for row in rows)
    listing.label_faults(), listing.warnings(), listing.digest()
    return frozenset(row["path"] for row in rows if row["normal"] and not row["error"])


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(damages=st.lists(DAMAGE, min_size=1, max_size=3))
def test_damage_never_makes_an_image_normal(
    name: str,
    roots: Callable[[str], tuple[Path, bytes, frozenset[str]]],
    damages: list[Damage],
) -> None:
    chosen = FORMATS[name]
    root, clean, free = roots(name)
    data = clean
    for damage in damages:
        data = damage(data)
    (root / chosen.file).write_bytes(data)
    try:
        after = trusted(root, chosen.layout)
    except UserError:
        return
    wrong = {image for image in after - free if not chosen.free(data, image)}
    assert not wrong, f"{wrong} would count as normal by {data[-3000:]!r}"
