"""What is said of a measure follows the numbers, and near-duplicates are one image."""

import numpy as np
import pytest

from pipelines.drift.calibration import Calibration
from pipelines.drift.comparison import Sample, Tested
from pipelines.drift.findings import DRIFT, NO_DRIFT, far_images, findings, verdict_of
from pipelines.drift.listing import independent, one_of_each
from pipelines.drift.measures import EMBEDDING

CALIBRATION = Calibration(
    new=4,
    old=100,
    threshold=0.01,
    chosen_by=50,
    splits=50,
    alarms=1,
    low=0.0005,
    high=0.1,
    by_chance={"brightness": 0.3, EMBEDDING: 0.05},
)


def sample(brightness: list[float]) -> Sample:
    embeddings = np.array([[one, 1] for one in brightness], np.float32)
    return Sample({"brightness": np.array(brightness)}, embeddings)


OLD = sample([float(value) for value in range(100)])


@pytest.mark.parametrize(("values", "word"), [([10, 12, 14, 99], "darker"), ([90, 95, 99, 200], "brighter")])
def test_an_alarm_says_what_moved_how_far_and_how_often_it_is_false(values: list[float], word: str) -> None:
    tested = {"brightness": Tested(0.8, 1e-4), EMBEDDING: Tested(0.01, 0.4)}
    new = sample(values)
    found = findings(new, OLD, tested, CALIBRATION)
    assert [(one.measure, one.moved) for one in found] == [("brightness", True), (EMBEDDING, False)]
    middle = float(np.median(values))
    assert found[0].shift == pytest.approx((middle - 49.5) / (49.5 / 1.3489795))
    # The middle 95 % of 0, 1, …, 99 are 2.475 to 96.525.
    assert found[0].beyond == sum(not 2.475 <= one <= 96.525 for one in values) / 4
    verdict = verdict_of(found, CALIBRATION)
    assert verdict.kind == DRIFT
    assert (
        f"The new images are {word}: grey level (mean, 0–255) {middle:.1f} instead of 49.5"
        in verdict.sentence
    )
    assert "1 of 50 random parts of the corpus" in verdict.sentence
    assert "(2.0 %, 95 % interval 0.1 to 10.0 %)" in verdict.sentence


def test_no_alarm_names_the_closest_measure() -> None:
    tested = {"brightness": Tested(0.2, 0.5), EMBEDDING: Tested(0.04, 0.02)}
    verdict = verdict_of(findings(sample([1, 2]), OLD, tested, CALIBRATION), CALIBRATION)
    assert verdict.kind == NO_DRIFT
    assert "closest: what the images show" in verdict.sentence


def test_the_images_shown_are_those_that_moved() -> None:
    new = sample([50, 51, 300, 310, 320])
    here, there = far_images("brightness", new, OLD)
    assert new.measures["brightness"][here[0]] >= 300
    assert OLD.measures["brightness"][there[0]] in (49, 50)
    here, there = far_images(EMBEDDING, new, OLD)
    assert (here[0], there[0]) == (4, 0)


def test_near_duplicates_are_one_image() -> None:
    rows = [
        {"image_id": name, "uri": name, "phash": bits * 64}
        for name, bits in (("a", "0"), ("b", "0"), ("c", "f"), ("d", "5"))
    ]
    assert {one if one > "b" else "ab" for one in independent(rows, 8, seed=1)} == {"ab", "c", "d"}
    groups = {str(number): str(number // 3) for number in range(30)}
    taken = one_of_each(groups, seed=1)
    assert len(taken) == 10
    assert len({groups[one] for one in taken}) == 10
    assert taken == one_of_each(dict(reversed(groups.items())), seed=1)
    assert taken != one_of_each(groups, seed=2)
