"""Table, verdicts and picture of a gain study, from results written by hand."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.boxes import BoxShares
from tuning.gain.picture import gain_picture
from tuning.gain.results import ArmResult, SetResult
from tuning.gain.section import Arm, GainSection, Source
from tuning.gain.text import HEADER, csv_text, document, lines, markdown
from tuning.gain.verdict import verdicts

SECTION = GainSection.model_validate({"starts": {"coco": "coco"}, "seeds": [0, 1, 2]})


def result(figures: dict[Source | None, Sequence[float]], boxes: int = 90, **more: Any) -> SetResult:
    """A data set whose arms have these mAP@0.5, a half of them at 0.5:0.95, by source and seed."""
    data = SetResult.empty("tiles", SECTION.arms, {})
    for source, values in figures.items():
        rows = {seed: {"map50": value, "map50_95": value / 2} for seed, value in enumerate(values)}
        data.arms[Arm(50, 32, "coco", source)] = ArmResult(rows, 50, boxes)
    for name, value in more.items():
        setattr(data, name, value)
    return data


ALONE = (0.20, 0.21, 0.22)
NOISE = (0.001, -0.001, 0.0)  # seeds all alike have no interval
GAINING = result(
    {None: ALONE, "painted": (0.25, 0.27, 0.29), "maps": (0.19, 0.23, 0.22), "labels": (0.3,) * 3}
)


def said(data: SetResult) -> list[tuple[str, str]]:
    return [(verdict.kind, verdict.sentence) for verdict in verdicts([data], SECTION)]


def test_the_table_pairs_each_source_with_its_start() -> None:
    alone, painted, maps, labels = lines([GAINING], SECTION)
    assert alone == ["tiles", "50", "32", "coco", "21.0 ± 1.0", "10.5 ± 0.5", "–", "–", "–", "–"]
    # 5, 6 and 7 points: Student's quantile of two degrees of freedom is 4.303, the mean's error 1 / √3.
    assert painted[3:] == [
        "coco + painted defects", "27.0 ± 2.0", "13.5 ± 1.0", "+6.0", "+3.5 to +8.5", "3 of 3", "0.25",
    ]  # fmt: skip
    assert maps[6] == "+0.3"
    assert labels[3] == "coco + true boxes (ceiling)"
    assert all(len(row) == len(HEADER) for row in (alone, painted, maps, labels))


def test_verdicts_name_gain_interval_and_limit() -> None:
    (kind, sentence), (other, level) = said(GAINING)
    assert kind == "gain"
    assert (
        "tiles, 50 labels, 32 epochs, from coco: pretraining on painted defects gains 6.0 points" in sentence
    )
    assert "95 % interval +3.5 to +8.5; ahead in 3 of 3 seeds" in sentence
    assert "True boxes of the whole training half bring +9.0: the boxes limit it" in sentence
    assert other == "level"
    assert "end level, +0.3 points" in level
    assert "ore seeds than are worth running would be needed" in level


def test_rounds_are_told_in_table_verdict_and_cells() -> None:
    section = GainSection.model_validate(
        {"starts": {"coco": "coco"}, "sources": ["painted", "labels"], "rounds": [1, 2], "seeds": [0, 1, 2]}
    )
    data = SetResult.empty("tiles", section.arms, {})
    for arm in section.arms:
        gain = {None: 0.0, "painted": 0.02 * arm.rounds, "labels": 0.1}[arm.source]
        figures = zip(ALONE, NOISE if arm.source else (0.0,) * 3, strict=True)
        rows = {
            seed: {"map50": value + gain + noise, "map50_95": 0.1}
            for seed, (value, noise) in enumerate(figures)
        }
        data.arms[arm] = ArmResult(rows, 50, 90)
    data.defective = 0.4
    data.shares["painted, 2 rounds"] = BoxShares(90, 50, 0.37, 0.18)
    assert [row[3] for row in lines([data], section)] == [
        "coco", "coco + painted defects", "coco + painted defects, 2 rounds", "coco + true boxes (ceiling)",
    ]  # fmt: skip
    once, twice = (verdict.sentence for verdict in verdicts([data], section))
    assert "pretraining on painted defects in 2 rounds gains 4.0 points" in twice
    assert "True boxes of the whole training half bring +10.0" in twice
    assert "37 % of the pseudo-boxes meet a labelled one" in twice
    assert "learnt as background" in once
    assert "learnt as background" not in twice
    cells = list(csv.DictReader(io.StringIO(csv_text([data]))))
    assert [(cell["source"], cell["rounds"]) for cell in cells[::3]] == [
        ("", ""), ("painted", "1"), ("painted", "2"), ("labels", "1"),
    ]  # fmt: skip


def test_self_training_is_a_row_and_a_gain_of_its_own() -> None:
    section = GainSection.model_validate(
        {"starts": {"coco": "coco"}, "sources": ["painted"], "finetune_rounds": [1, 2], "seeds": [0, 1, 2]}
    )
    data = SetResult.empty("tiles", section.arms, {})
    for arm in section.arms:
        gain = 0.03 * (arm.finetune_rounds - 1) + (0.01 if arm.source else 0)
        figures = zip(ALONE, NOISE if gain else (0.0,) * 3, strict=True)
        rows = {
            seed: {"map50": value + gain + noise, "map50_95": 0.1}
            for seed, (value, noise) in enumerate(figures)
        }
        data.arms[arm] = ArmResult(rows, 50, 90)
    table = lines([data], section)
    assert [(row[3], row[6]) for row in table] == [
        ("coco", "–"),
        ("coco + self-training, 2 rounds", "+3.0"),
        ("coco + painted defects", "+1.0"),
        ("coco + painted defects + self-training, 2 rounds", "+4.0"),
    ]
    alone, painted, both = (verdict.sentence for verdict in verdicts([data], section))
    assert "from coco: self-training in 2 rounds gains 3.0 points" in alone
    assert "from coco: pretraining on painted defects gains 1.0 points" in painted
    assert "pretraining on painted defects and self-training in 2 rounds gains 4.0 points" in both
    cells = list(csv.DictReader(io.StringIO(csv_text([data]))))
    assert [cell["finetune_rounds"] for cell in cells[::3]] == ["1", "2", "1", "2"]


def test_what_is_wrong_with_the_boxes_is_told() -> None:
    figures: dict[Source | None, Sequence[float]] = {
        None: ALONE,
        "painted": (0.22, 0.23, 0.24),
        "maps": (0.22, 0.23, 0.24),
        "labels": (0.3,) * 3,
    }
    data = result(figures, defective=0.4, shares={"maps": BoxShares(90, 50, 0.1, 0.25)})
    (_, painted), (_, maps) = said(data)
    assert "40 % of the labelled training images show real defects, learnt as background" in painted
    assert "10 % of the pseudo-boxes meet a labelled one (IoU 0.5), and 25 % of the labelled ones" in maps


def test_a_ceiling_that_gains_nothing_is_the_limit() -> None:
    (_, sentence) = said(result({None: ALONE, "painted": (0.21, 0.20, 0.23), "labels": (0.20, 0.22, 0.22)}))[
        0
    ]
    assert "no certain gain either: nothing measured here says that better boxes would help" in sentence
    (_, one) = said(result({None: ALONE[:1], "painted": (0.25,), "labels": (0.23,)}))[0]
    assert "with one seed: what limits it can't be told yet" in one
    (_, near) = said(result({None: ALONE, "painted": (0.29, 0.31, 0.30), "labels": (0.3, 0.32, 0.31)}))[0]
    assert "better boxes could add little more" in near


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (result({None: (0, 0, 0), "painted": (0, 0, 0)}), "zero", "nothing is found"),
        (result({None: ALONE, "painted": (0.3, 0.3, 0.3)}, boxes=29), "few", "29, at least 30"),
        (result({None: ALONE[:1], "painted": (0.3,)}), "one", "tells nothing"),
        (result({None: ALONE, "painted": (0.1, 0.1, 0.1)}), "loss", "loses 11.0 points"),
        (result({None: ALONE, "painted": (0.3, 0.32, 0.31)}), "gain", "is not known"),
        (
            result({None: ALONE, "painted": (0.3, 0.31, 0.32)}),
            "alike",
            "+10.0 points of mAP@0.5 in each of 3",
        ),
        (
            result({None: ALONE, "painted": (0.3, 0.32, 0.31), "labels": (0.3, 0.31, 0.32)}),
            "gain",
            "in every seed alike: what limits it can't be told yet",
        ),
    ],
)
def test_claims_that_can_not_be_made_are_not(data: SetResult, kind: str, words: str) -> None:
    ((found, sentence),) = said(data)
    assert found == kind
    assert words in sentence


def test_nothing_is_claimed_without_a_pair() -> None:
    assert said(result({None: ALONE, "painted": ()})) == []
    assert said(result({"painted": ALONE})) == []


def test_document_and_spreadsheet_hold_every_training() -> None:
    data = result({None: ALONE, "painted": (0.25, 0.27, 0.29)})
    data.arms[Arm(50, 32, "coco", "maps")].not_run = "no | references"
    table = document([data], SECTION, "quick", "small.")
    assert json.loads(json.dumps(table)) == table
    text = markdown(table)
    assert "| tiles | 50 | 32 | coco + pseudo-boxes of the maps | not run |" in text
    assert "Not run: coco + pseudo-boxes of the maps on tiles: no | references" in text
    assert "can't be below 0.25" in text
    assert "to finetune on" not in text
    data.arms[Arm(50, 32, "coco", None)].labelled = 7
    notes = document([data], SECTION, "quick", "small.")["notes"]
    assert "tiles has 7 labelled images with objects to finetune on, not 50." in notes
    rows = list(csv.DictReader(io.StringIO(csv_text([data]))))
    assert len(rows) == 6
    assert {(row["source"], row["seed"]): float(row["map50"]) for row in rows}["painted", "1"] == 0.27


def test_the_picture_is_an_svg_of_every_pair_and_the_same_each_time() -> None:
    picture = gain_picture([GAINING], SECTION)
    root = ET.fromstring(picture)
    assert root.tag.endswith("svg")
    assert picture.count(b"tiles, 50 labels, 32 epochs: coco + ") == 3
    assert picture == gain_picture([GAINING], SECTION)
    ET.fromstring(gain_picture([result({})], SECTION))
