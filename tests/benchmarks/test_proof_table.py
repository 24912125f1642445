"""The proof's table: its means, deviations and differences, against numbers worked out by hand."""

import pytest

from benchmarks.real_surfaces.table import Cell, document, gain, markdown, spread

TILES, STRIP = ("tiles", "50"), ("strip", "all")


def cell(row: str, column: tuple[str, str], seed: int, map50: float) -> Cell:
    return Cell(row, *column, seed, map50, map50 / 2)


# By column and seed; AGSSP is 0.1 better on tiles at seed 1, 0.3 at seed 2, and 0.2 on the strip at both.
CELLS = [
    cell("scratch", TILES, 1, 0.2),
    cell("scratch", TILES, 2, 0.4),
    cell("scratch", STRIP, 1, 0.5),
    cell("scratch", STRIP, 2, 0.5),
    cell("AGSSP", TILES, 1, 0.3),
    cell("AGSSP", TILES, 2, 0.7),
    cell("AGSSP", STRIP, 1, 0.7),
    cell("AGSSP", STRIP, 2, 0.7),
]


def test_the_deviation_is_the_sample_s() -> None:
    found = spread([0.2, 0.4, 0.9])
    assert found.mean == pytest.approx(0.5)
    assert found.deviation == pytest.approx(0.13**0.5)  # (0.09 + 0.01 + 0.16) / 2
    assert found.text() == "50.0 ± 36.1"


def test_one_value_has_no_deviation() -> None:
    assert spread([0.25]).deviation is None
    assert spread([0.25]).text() == "25.0"


def test_a_gain_is_paired_by_seed_and_column() -> None:
    found = gain(CELLS, "AGSSP", "scratch")
    assert found is not None
    # Seed 1: (0.1 + 0.2) / 2; seed 2: (0.3 + 0.2) / 2. Unpaired, the deviation would be three times that.
    assert found.mean == pytest.approx(0.2)
    assert found.deviation == pytest.approx(0.005**0.5)
    assert found.count == 2


def test_a_gain_of_the_stricter_metric() -> None:
    found = gain(CELLS, "AGSSP", "scratch", "map50_95")
    assert found is not None
    assert found.mean == pytest.approx(0.1)


def test_a_seed_that_lacks_a_column_is_left_out() -> None:
    found = gain(CELLS[:-1], "AGSSP", "scratch")
    assert found is not None
    assert (found.count, found.deviation) == (1, None)
    assert found.mean == pytest.approx(0.15)


def test_no_gain_over_a_row_that_is_not_there() -> None:
    assert gain(CELLS, "AGSSP", "lightly-train") is None


def test_the_table_shows_every_row_and_what_is_missing() -> None:
    cells = [CELLS[0], CELLS[1], CELLS[2], CELLS[4]]
    assert markdown(cells, {"AGSSP": 12.4}).splitlines() == [
        "| start | tiles, 50 labels | strip, all labels | pretraining |",
        "|---|---|---|---|",
        "| scratch | 30.0 ± 14.1 | 50.0 | none |",
        "| AGSSP | 30.0 | – | 12 min |",
    ]


def test_the_document_has_every_value_and_its_summary() -> None:
    made = document(CELLS, {"AGSSP": 12.5})
    assert made["cells"][0] == {
        "row": "scratch",
        "data": "tiles",
        "labels": "50",
        "seed": 1,
        "map50": 0.2,
        "map50_95": 0.1,
    }
    summary = {(one["row"], one["data"], one["metric"]): one for one in made["summary"]}
    assert len(summary) == 8
    assert summary["AGSSP", "tiles", "map50"]["mean"] == pytest.approx(0.5)
    assert made["pretraining_minutes"] == {"AGSSP": 12.5}
