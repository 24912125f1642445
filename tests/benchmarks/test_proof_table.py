"""The proof's table: comparisons joined, and means over columns, paired by seed."""

import pytest

from benchmarks.real_surfaces.table import joined, mean_gain, mean_gains, whole_table
from pipelines.boxes import BoxShares
from tuning.gain.results import ArmResult, SetResult
from tuning.gain.section import Arm, GainSection

COCO = Arm(50, 32, "COCO", None)
PAINTED = COCO._replace(source="painted")
RIVAL = COCO._replace(start="COCO + lightly-train")


def measured(*figures: float) -> ArmResult:
    """Seeds 0, 1, … with the figures, 0.5:0.95 half of each."""
    return ArmResult(
        {seed: {"map50": each, "map50_95": each / 2} for seed, each in enumerate(figures)}, 50, 99
    )


def all_labels(arm: Arm) -> Arm:
    return arm._replace(limit=None)


SETS = [
    SetResult(
        "tiles",
        {
            COCO: measured(0.2, 0.3),
            PAINTED: measured(0.25, 0.31),
            all_labels(COCO): measured(0.4, 0.4),
            all_labels(PAINTED): measured(0.5, 0.4),
            RIVAL: measured(0.21, 0.28),
        },
    ),
    SetResult(
        "strips",
        {
            COCO: measured(0.5, 0.5),
            PAINTED: measured(0.53, 0.56),
            all_labels(COCO): measured(0.6, 0.7),
            all_labels(PAINTED): measured(0.58, 0.75, 0.9),
            RIVAL: measured(0.5, 0.4),
        },
    ),
]


def test_comparisons_are_joined_with_the_longest_run_of_what_they_share() -> None:
    first = SetResult("a", {COCO: measured(0.1), PAINTED: measured(0.2)})
    second = SetResult(
        "a", {COCO: measured(0.1, 0.3)}, defective=0.5, shares={"painted": BoxShares(1, 1, 1.0, 1.0)}
    )
    whole = joined([first, second])
    assert list(whole.arms) == [COCO, PAINTED]
    assert set(whole.arms[COCO].figures) == {0, 1}
    assert (whole.name, whole.defective, set(whole.shares)) == ("a", 0.5, {"painted"})
    assert len(first.arms[COCO].figures) == 1


def test_the_mean_over_columns_is_by_seed() -> None:
    gain = mean_gain(SETS, PAINTED, COCO, [50, None], "map50")
    assert gain is not None
    assert gain.values == pytest.approx([(0.05 + 0.1 + 0.03 - 0.02) / 4, (0.01 + 0 + 0.06 + 0.05) / 4])
    halved = mean_gain(SETS, PAINTED, COCO, [50, None], "map50_95")
    assert halved is not None
    assert halved.mean == pytest.approx(gain.mean / 2)
    assert mean_gain(SETS, PAINTED, RIVAL, [50, None], "map50") is None  # no rival on all labels
    assert mean_gain([SETS[0], SetResult("new", {})], PAINTED, COCO, [50], "map50") is None


def test_each_arm_is_set_beside_its_start_and_the_rival() -> None:
    gains = mean_gains(SETS, "map50")
    by_name = {over.start: (columns, gain.mean) for (_, over), (columns, gain) in gains.items()}
    assert {arm.source for arm, _ in gains} == {"painted"}
    assert {start: columns for start, (columns, _) in by_name.items()} == {
        "COCO": 4,
        "COCO + lightly-train": 2,
    }
    assert by_name["COCO"][1] == pytest.approx((0.16 + 0.12) / 8)
    assert by_name["COCO + lightly-train"][1] == pytest.approx((0.04 + 0.03 + 0.03 + 0.16) / 4)


def test_the_table_says_all_of_it() -> None:
    section = GainSection(starts={"COCO": "coco"}, seeds=(0, 1), limits=(50, None))
    text = whole_table(SETS, section, "quick", "small")
    assert "| COCO + painted defects | COCO | 32 | 4 | +3.5 |" in text
    assert "| COCO + painted defects | COCO + lightly-train | 32 | 2 | +6.5 |" in text
    assert "| tiles | 50 | 32 | COCO + lightly-train | 24.5 ± 4.9 |" in text
