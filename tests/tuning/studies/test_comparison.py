"""What a study says of its rows: which is ahead, by chance or not, and on how many boxes."""

import pytest

from tuning.studies.comparison import comparisons
from tuning.studies.study import CellResult, load_study

STUDY = load_study("table5")


def cell(row: int, figures: list[float], boxes: int | None = 300, dataset: str = "tiles") -> CellResult:
    seeds: dict[int, dict[str, float | None]] = {
        seed: {"evaluate.map50": 0.9, "evaluate.map50_95": value, "evaluate.boxes": boxes}
        for seed, value in enumerate(figures)
    }
    return CellResult(row, dataset, seeds)


def test_a_lead_over_seeds_is_told_with_its_p() -> None:
    (told,) = comparisons(STUDY, [cell(0, [0.20, 0.30, 0.25]), cell(1, [0.25, 0.36, 0.30])])
    assert told.startswith('tiles: "no last two" is ahead of "no last" by 5.3 points of mAP@.5:.95')
    assert "paired t test over 3 seeds, p = 0.0039" in told
    assert "chance" not in told


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ([0.2, 0.4, 0.3], [0.3, 0.3, 0.33], "which chance may explain (paired t test over 3 seeds"),
        ([0.2], [0.3], "which chance may explain (one seed alone says nothing of chance)"),
        ([0.3, 0.2], [0.3, 0.2], "end level"),
        ([0.0, 0.0], [0.1, 0.1], "2 seeds with one and the same difference"),
    ],
)
def test_what_chance_may_explain_is_no_claim(one: list[float], other: list[float], said: str) -> None:
    (told,) = comparisons(STUDY, [cell(0, one), cell(1, other)])
    assert said in told


def test_seven_test_boxes_allow_no_claim() -> None:
    (told,) = comparisons(STUDY, [cell(0, [0.2, 0.3], 7), cell(1, [0.5, 0.6], 7)])
    assert told == "tiles: too few test boxes for a claim: 7 boxes, at least 30 are needed."
    assert comparisons(STUDY, [cell(0, [0.2], None), cell(1, [0.5], None)])[0].startswith(
        'tiles: "no last two" is'
    )


def test_nothing_found_and_rows_alone_are_not_compared() -> None:
    assert comparisons(STUDY, [cell(0, [0.0, 0.0]), cell(1, [0.0, 0.0])]) == []
    assert comparisons(STUDY, [cell(0, [0.3]), cell(1, [0.4], dataset="rails")]) == []
    assert comparisons(STUDY, []) == []
