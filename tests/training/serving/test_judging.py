"""Which version is worse, by the registry's figures."""

import math

import pytest

from cluster.registry.provenance import Evaluation
from cluster.registry.registry import ModelVersion
from training.serving.judging import grounds, objection

SAME, OTHER = "d" * 64, "e" * 64


def version(number: int, *evaluations: tuple[str, str, float]) -> ModelVersion:
    tags: dict[str, str] = {}
    for name, digest, value in evaluations:
        tags |= Evaluation(name, digest, 12, {"map50": value, "map50_95": value / 2}).tags()
    return ModelVersion("line", number, (), "", "", "", "", tags)


@pytest.mark.parametrize(
    ("served", "new", "words"),
    [
        (
            [("line", SAME, 0.5)],
            [("line", SAME, 0.4)],
            "worse than line@1: map50 0.4000 on line against 0.5000",
        ),
        ([("line", SAME, 0.5)], [("renamed", SAME, 0.4)], "worse"),
        ([("a", SAME, 0.5), ("b", OTHER, 0.5)], [("a", SAME, 0.6), ("b", OTHER, 0.4)], "on b"),
        ([("line", SAME, 0.5)], [("line", SAME, 0.0)], "finds nothing"),
        ([("line", SAME, 0.0)], [("line", SAME, 0.0)], "finds nothing"),
        ([("line", SAME, 0.5)], [("line", SAME, math.nan)], "nobody knows"),
        ([], [("line", SAME, 0.0)], "finds nothing"),
    ],
)
def test_a_worse_one_is_refused(
    served: list[tuple[str, str, float]], new: list[tuple[str, str, float]], words: str
) -> None:
    told = objection(version(2, *new), version(1, *served), "map50")
    assert told is not None
    assert words in told


@pytest.mark.parametrize(
    ("served", "new", "words"),
    [
        ([("line", SAME, 0.5)], [("line", SAME, 0.5)], "0.5000 on line after 0.5000"),
        ([("line", SAME, 0.5)], [("line", SAME, 0.6)], "0.6000 on line after 0.5000"),
        ([("line", SAME, 0.5)], [("line", OTHER, 0.4)], "has no map50 on the same images"),
        ([("line", SAME, math.nan)], [("line", SAME, 0.1)], "0.1000"),
        ([("line", SAME, 0.5)], [], "has no map50 on the same images"),
        ([], [("line", SAME, 0.5)], "has no map50 on the same images"),
    ],
)
def test_a_better_or_equal_one_is_taken_and_its_grounds_are_said(
    served: list[tuple[str, str, float]], new: list[tuple[str, str, float]], words: str
) -> None:
    assert objection(version(2, *new), version(1, *served), "map50") is None
    assert words in grounds(version(2, *new), version(1, *served), "map50")
