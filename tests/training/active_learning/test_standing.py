"""Where a loop stands: the next step of every state, the page, and records that are damaged."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import UserError
from cluster.storage import Storage
from training.active_learning import Standing, open_round, points, read_rounds, render_page, standing_of

NAME = "line-finetune-yolov8n"
STAGE = {"fingerprint": "f" * 64, "directory": "/w/<next>/1", "stage": "next"}
NEW = {"where": "photos/new", "images": 120, "with_boxes": 97}
ASKED = {
    "count": 50,
    "left": 118,
    "to": "label-studio",
    "folder": "/l/round-001/to-label",
    "labelled": "/l/round-001/labelled",
    "images": [],
}
BACK = {"labelled": 48, "boxes": 80, "normal": 9, "missing": 2, "first_missing": ["a.png", "b.png"]}
LEARNT = {"start": "coco", "train_images": 130, "train_boxes": 222}
COMPARED = {
    "metric": "map50_95",
    "in_use": 0.301,
    "candidate": 0.342,
    "difference": 0.041,
    "low": 0.012,
    "high": 0.071,
    "p": 0.004,
    "images": 189,
    "groups": 180,
}
WHY = f"{NAME}@2 is promoted, as it is better than {NAME}@1 <b>."


def stands(loop: Storage) -> Standing:
    return standing_of(read_rounds(loop), NAME, "champion", "/w/loop.html")


@pytest.fixture
def loop(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path))


def test_every_state_has_its_next_step_and_its_page(loop: Storage) -> None:
    assert stands(loop).state == "begin"
    assert "none yet" in render_page(stands(loop))
    steps: list[tuple[dict[str, Any], str, str]] = [
        (
            {"new": NEW, "drift": {"kind": "drift", "sentence": "Drift <i>.", "page": "/w/d.html"}},
            "stopped",
            "d.html",
        ),
        (
            {"drift": {"kind": "no_drift", "sentence": "No drift."}, "asked": ASKED},
            "label",
            "Label the 50 images in /l",
        ),
        ({"back": BACK}, "label", "48 of 50 images are labelled; label the other 2 (a.png, b.png)"),
        (
            {"labels": {"digest": "d", "images": []}, "despite_missing": True},
            "train",
            "go on where they stand",
        ),
        ({"candidate": f"{NAME}@2", "learnt": LEARNT}, "train", "go on where they stand"),
        (
            {"compared": COMPARED, "decision": {"promoted": True, "why": WHY, "at": "2026-01-01"}},
            "decided",
            "Put further images into photos/new and run the same command again to begin round 2",
        ),
    ]
    one = open_round(loop, 1, f"{NAME}@1").told(next=STAGE)
    for more, state, said in steps:
        one = one.noted(**more)
        now = stands(loop)
        assert (now.state, now.rounds[0]["round"]) == (state, 1)
        assert said in now.next
        page = render_page(now)
        assert "<script" not in page
        assert "<next>" not in page
        assert "<i>" not in page
        assert page.count("<tr>") > 3
    assert stands(loop).in_use == f"{NAME}@2"
    for said in ("+4.1 (+1.2 to +7.1)", "34.2", "promoted", "180 of them independent", "left out"):
        assert said in page
    assert "2 is promoted, as it is better" in page
    assert "&lt;b&gt;" in page
    drift = {"kind": "no_verdict", "sentence": "No verdict: too few."}
    open_round(loop, 2, f"{NAME}@2").noted(new=NEW, drift=drift, asked=ASKED)
    assert [row["round"] for row in stands(loop).rounds] == [1, 2]


def test_a_difference_without_an_interval_is_told_alone() -> None:
    assert points({"difference": None, "low": None, "high": None}) == "–"
    assert points({"difference": -0.01, "low": None, "high": None}) == "-1.0"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"number": 2, "model": "m"}', b'{"number": 1}', b"\xff"])
def test_a_damaged_record_is_one_sentence(loop: Storage, content: bytes) -> None:
    loop.write("round-001/round.json", content)
    with pytest.raises(UserError, match=r"round-001/round\.json is damaged"):
        read_rounds(loop)
