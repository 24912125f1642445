"""Contact sheets by their pixels; file names for hostile categories."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from pipelines.corpus import contact_sheet
from pipelines.corpus.contact_sheet import (
    CAPTION,
    COLUMNS,
    DEFECT_COLOUR,
    GAP,
    GROUND,
    MARGIN,
    MISSING,
    REFERENCE_COLOUR,
    contact_sheets,
    sheet_name,
)
from pipelines.corpus.statistics import category_statistics
from pipelines.corpus.thumbnails import FRAME, SIDE, TILES


def rows_of(folder: Path, category: str, colours: list[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Plain images; the last one is the reference."""
    rows = []
    for number, colour in enumerate(colours):
        path = folder / f"{abs(hash(category))}-{number}.png"
        Image.new("RGB", (60, 30), colour).save(path)
        row = {"image_id": f"{number:032x}", "category": category, "uri": str(path), "split": "train"}
        figures = {"width": 60, "height": 30, "grey_mean": 1.0, "grey_deviation": 0.0, "levels": None}
        rows.append({**row, **figures, "role": "reference" if number == len(colours) - 1 else "train"})
    return rows


def sheets_of(rows: list[dict[str, Any]], quarantined: dict[str, int] | None = None) -> dict[str, bytes]:
    return dict(contact_sheets(rows, statistics_of(rows, quarantined or {})))


def statistics_of(rows: list[dict[str, Any]], quarantined: dict[str, int]) -> list[dict[str, Any]]:
    names = ("category", "split", "role", "width", "height", "grey_mean", "grey_deviation")
    columns = {name: [row[name] for row in rows] for name in names}
    table = pa.table(columns | {"labelled": pa.array([False] * len(rows))})
    return list(category_statistics(table, quarantined).to_pylist())


def pixels(png: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB"))


def tile(sheet: npt.NDArray[np.uint8], place: int) -> npt.NDArray[np.uint8]:
    top = MARGIN + CAPTION + place // COLUMNS * (SIDE + GAP)
    left = MARGIN + place % COLUMNS * (SIDE + GAP)
    return sheet[top : top + SIDE, left : left + SIDE]


def test_tiles_show_the_images_and_the_reference_first_in_its_frame(tmp_path: Path) -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    (name,) = sheets = sheets_of(rows_of(tmp_path, "rail", colours))
    assert name == "rail.png"
    sheet = pixels(sheets[name])
    middle = SIDE // 2
    shown = [tuple(tile(sheet, place)[middle, middle].tolist()) for place in range(4)]
    assert shown == [colours[2], colours[0], colours[1], GROUND]
    frame = np.ones((SIDE, SIDE), np.bool_)
    frame[FRAME:-FRAME, FRAME:-FRAME] = False
    assert (tile(sheet, 0)[frame] == REFERENCE_COLOUR).all()
    assert (tile(sheet, 1)[frame] == GROUND).all()
    # 60 × 30 pixels are shown whole, twice as wide as high, never enlarged.
    assert (tile(sheet, 1) == colours[0]).all(axis=2).sum() == 60 * 30


def test_a_sheet_never_shows_more_than_its_tiles_and_always_the_same(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "rail", [(place, 9, 9) for place in range(TILES + 30)])
    sheet = pixels(sheets_of(rows)["rail.png"])
    assert sheets_of(rows[::-1])["rail.png"] == sheets_of(rows)["rail.png"]
    lines = -(-TILES // COLUMNS)
    assert sheet.shape == (
        2 * MARGIN + CAPTION + lines * (SIDE + GAP) - GAP,
        2 * MARGIN + COLUMNS * (SIDE + GAP) - GAP,
        3,
    )
    reds = [int(tile(sheet, place)[SIDE // 2, SIDE // 2, 0]) for place in range(TILES)]
    assert reds == [TILES + 29, *range(TILES - 1)]  # by id, which is a content hash


def test_caption_tells_counts(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "rail", [(1, 2, 3)])
    clean, spoilt = (pixels(sheets_of(rows, {"rail": count})["rail.png"]) for count in (0, 7))
    band = slice(0, MARGIN + CAPTION)
    assert (clean[band] != GROUND).any()
    assert (clean[band] != spoilt[band]).any()
    assert (clean[band.stop :] == spoilt[band.stop :]).all()


def test_what_vanished_is_a_red_tile_and_a_category_without_images_an_empty_sheet(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "rail", [(1, 2, 3)])
    Path(rows[0]["uri"]).unlink()
    sheets = sheets_of(rows, {"all bad": 3})
    assert tuple(tile(pixels(sheets["rail.png"]), 0)[SIDE // 2, SIDE // 2].tolist()) == MISSING
    assert (tile(pixels(sheets[sheet_name("all bad")]), 0) == GROUND).all()


def test_only_so_many_categories_get_a_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_sheet, "SHEETS", 3)
    statistics = statistics_of([], {f"c{number}": 1 for number in range(5)})
    names = [name for name, _ in contact_sheets([], statistics)]
    assert names == ["c0.png", "c1.png", "c2.png"]


@pytest.mark.parametrize(
    "category", ["../../etc/passwd", "a\x00b", "C:\\x", "con ", "…", "Стальной лист", "x" * 5000, "a\nb", ""]
)
def test_hostile_categories(category: str, tmp_path: Path) -> None:
    rows = [{**row, "category": category} for row in rows_of(tmp_path, "plain", [(9, 9, 9)])]
    ((name, png),) = sheets_of(rows).items()
    (tmp_path / "sheets").mkdir()
    written = tmp_path / "sheets" / name
    written.write_bytes(png)
    assert written.resolve().parent == (tmp_path / "sheets").resolve()
    assert name.isascii()
    assert len(name) < 120
    assert pixels(png).shape[2] == 3


@given(st.lists(st.text(max_size=8), unique=True, max_size=20))
def test_file_names_differ_even_where_case_does_not_count(categories: list[str]) -> None:
    names = [sheet_name(category).lower() for category in [*categories, *map(str.upper, categories)]]
    expected = len({*categories, *map(str.upper, categories)})
    assert len(set(names)) == expected


def test_labelled_defects_are_drawn_and_named_in_the_caption(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "rail", [(200, 0, 0), (0, 200, 0), (0, 0, 200)])
    Image.new("RGB", (440, 220), (200, 0, 0)).save(rows[0]["uri"])  # shown at a quarter
    rows[0] |= {"width": 440, "height": 220}
    statistics = statistics_of(rows, {})
    defects = {
        rows[0]["image_id"]: [{"x0": 80.0, "y0": 40.0, "x1": 240.0, "y1": 120.0, "label": "dent"}],
        rows[1]["image_id"]: [{"x0": 0.0, "y0": 0.0, "x1": 60.0, "y1": 30.0, "label": "dent"}],
    }
    ((_, png),) = contact_sheets(rows, statistics, defects)
    sheet = pixels(png)
    drawn = (sheet == DEFECT_COLOUR).all(axis=2)
    assert drawn[:CAPTION].any()  # the legend
    marked = (tile(sheet, 1) == DEFECT_COLOUR).all(axis=2)
    rows_marked, columns_marked = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    # 440 × 220 is shown as 110 × 55; the line lies around the defect, whose inside is as it was.
    left, top = (SIDE - 110) // 2, (SIDE - 55) // 2
    assert (columns_marked[0] - left, columns_marked[-1] - left) == (20 - 2, 60 + 1)
    assert (rows_marked[0] - top, rows_marked[-1] - top) == (10 - 2, 30 + 1)
    assert (tile(sheet, 1)[top + 10 : top + 30, left + 20 : left + 60] == (200, 0, 0)).all()
    assert not (tile(sheet, 0) == DEFECT_COLOUR).all(axis=2).any()
    ((_, plain),) = contact_sheets(rows, statistics)
    assert not (pixels(plain) == DEFECT_COLOUR).all(axis=2).any()
