"""Names of one category are told apart from names of two; what is ambiguous is refused."""

import pytest
from hypothesis import given, strategies as st

from cluster.errors import UserError
from pipelines.category_names import by_key, category_key, find_category


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("magnetic_tile", "magnetic_tile"),
        ("Magnetic-Tile", "magnetic_tile"),
        ("magnetic tile", "magnetic_tile"),
        ("  MAGNETIC -_ Tile\n", "magnetic_tile"),
        ("_magnetic__tile-", "magnetic_tile"),
        ("magnetictile", "magnetictile"),
        ("magnetic.tile", "magnetic.tile"),
        ("PCB1", "pcb1"),
        ("Straße", "strasse"),
        ("Gehäuse", "gehäuse"),
        ("Geha\u0308use", "gehäuse"),  # as macOS names folders
        ("磁砖", "磁砖"),
        (" - ", ""),
    ],
)
def test_keys(name: str, key: str) -> None:
    assert category_key(name) == key


@given(st.text())
def test_a_key_is_its_own_key_whatever_case_and_separators_are(name: str) -> None:
    key = category_key(name)
    assert category_key(key) == key
    assert category_key(f"-{name.replace('_', ' - ')} ") == key
    assert not set(key) & {" ", "-", "\t", "\n"}


def test_entries_by_key() -> None:
    assert by_key({"Steel Sheet": 1, "rail": 2}, "x") == {"steel_sheet": 1, "rail": 2}
    with pytest.raises(
        UserError, match=r'^x: "Rail" and "rail" are names of one category \(rail\).*keep one'
    ):
        by_key({"Rail": 1, "rail": 2}, "x")
    with pytest.raises(UserError, match='x: "--" is no category name'):
        by_key({"--": 1}, "x")


def test_which_known_name_is_meant() -> None:
    known = ["Magnetic-Tile", "rail", "Rail", "RAIL"]
    assert find_category("magnetic tile", known, "x") == "Magnetic-Tile"
    assert find_category("Rail", known, "x") == "Rail"
    assert find_category("rails", known, "x") is None
    with pytest.raises(UserError, match='x: "rAIL" is ambiguous; write "RAIL" or "Rail" or "rail"'):
        find_category("rAIL", known, "x")
