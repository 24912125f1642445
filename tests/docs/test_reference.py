"""The reference pages are what the code says now, whole and readable as tables."""

import pytest

from docs.generator.__main__ import FOLDER, PAGES
from docs.generator.config import keys
from docs.generator.docstrings import attributes, markdown, parse
from docs.generator.tables import MEANINGS, TABLES
from training.project import Project


@pytest.mark.parametrize("name", PAGES)
def test_page_is_in_step_with_the_code(name: str) -> None:
    written = (FOLDER / name).read_text("utf-8")
    assert PAGES[name]() == written, "run: python -m docs.generator"


def test_there_is_no_other_page() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_every_config_key_is_told() -> None:
    text = (FOLDER / "config.md").read_text("utf-8")
    found = [key for key, _ in keys(Project)]
    assert len(found) > 150
    assert [key for key in found if f"| `{key}` |" not in text] == []


def test_every_column_has_a_meaning_and_every_meaning_a_column() -> None:
    assert {field.name for table in TABLES for field in table.schema} == set(MEANINGS)


def test_rows_have_as_many_cells_as_their_heads() -> None:
    rows = 0
    for name in PAGES:
        cells = 0
        for line in (FOLDER / name).read_text("utf-8").splitlines():
            if not line.startswith("|"):
                cells = 0
                continue
            rows += 1
            found = line.replace("\\|", "").count("|")
            assert found == (cells or found), line
            cells = found
    assert rows > 150


DOC = """Do a thing.

    More of it.

    Args:
        a, b: two
            lines.
        c: see `x: y`.

    Returns:
        What came
        of it.

    Raises:
        ValueError: never.

    Afterwards.
    """


def test_docstrings_are_taken_apart() -> None:
    parsed = parse(DOC)
    assert parsed.summary == "Do a thing."
    assert parsed.text == "Do a thing.\n\nMore of it.\n\nAfterwards."
    assert parsed.sections == {
        "Args": {"a, b": "two lines.", "c": "see `x: y`."},
        "Returns": {"": "What came of it."},
        "Raises": {"ValueError": "never."},
    }
    assert attributes(DOC.replace("Args", "Attributes")) == {
        "a": "two lines.",
        "b": "two lines.",
        "c": "see `x: y`.",
    }
    assert "- `a, b`: two lines." in markdown(DOC)
