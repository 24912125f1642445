"""Tables and lists as markdown."""

from tuning.markdown import bullets, grid


def test_a_grid_has_a_line_a_row_and_escapes_bars_in_cells() -> None:
    text = grid(("start", "a | b"), [["x", "1"], ["y|z", "–"]])
    assert text.splitlines() == ["| start | a \\| b |", "| --- | --- |", "| x | 1 |", "| y\\|z | – |"]
    assert grid(("one",), []) == "| one |\n| --- |"


def test_bullets_are_one_a_line() -> None:
    assert bullets(["a", "b"]) == "- a\n- b"
    assert bullets([]) == ""
