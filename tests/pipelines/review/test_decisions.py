"""Decisions are kept, taken back and applied; what they leave out is all that decides a training."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from cluster.errors import UserError
from cluster.storage.storage import Storage
from pipelines.review.decisions import (
    FILE,
    FOLDER,
    MOST_BOXES,
    BoxDecision,
    Change,
    Corners,
    Decisions,
    apply,
    left_out,
    overlap,
    read_decisions,
    save_changes,
    verdict_on,
)

A, B, C = ("a" * 32, "b" * 32, "c" * 32)
BOX: Corners = (10.0, 10.0, 50.0, 50.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Storage:
    return Storage.open(str(tmp_path / "workspace"))


def change(image_id: str, kind: str, verdict: str | None, box: Corners | None = None) -> Change:
    return Change.model_validate({"image_id": image_id, "kind": kind, "verdict": verdict, "box": box})


def row(image_id: str, *boxes: Corners) -> dict[str, Any]:
    """Of the boxes table."""
    sides = ("x0", "y0", "x1", "y1")
    return {
        "image_id": image_id,
        "uri": "x",
        "boxes": [dict(zip(sides, box, strict=True)) | {"score": 1.0} for box in boxes],
    }


def test_pages_that_save_at_once_lose_no_decision(workspace: Storage) -> None:
    """Two people with a page each of one workspace: what is read, changed and written is one step."""
    ids = [f"{number:032x}" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: save_changes(workspace, [change(one, "image", "rejected")]), ids))
    found = read_decisions(workspace)
    assert found is not None
    assert sorted(found.images) == ids
    assert workspace.at(FOLDER).at(".claims").children() == []


def test_without_a_review_there_is_none(workspace: Storage) -> None:
    assert read_decisions(workspace) is None


def test_changes_of_several_viewers_are_joined_and_read_back(workspace: Storage) -> None:
    save_changes(workspace, [change(A, "image", "rejected"), change(B, "reference", "accepted")])
    save_changes(workspace, [change(A, "box", "rejected", BOX), change(C, "image", "accepted")])
    found = read_decisions(workspace)
    assert found == Decisions(
        images={A: "rejected", C: "accepted"},
        references={B: "accepted"},
        boxes={A: (BoxDecision(box=BOX, verdict="rejected"),)},
    )
    assert workspace.at(FOLDER).children() == [".claims", FILE]  # no partial file is left
    assert workspace.at(FOLDER).at(".claims").children() == []


@given(
    st.lists(
        st.builds(
            change,
            st.sampled_from([A, B]),
            st.sampled_from(["image", "reference"]),
            st.sampled_from(["accepted", "rejected", None]),
        )
        | st.builds(
            change,
            st.sampled_from([A, B]),
            st.just("box"),
            st.sampled_from(["accepted", "rejected", None]),
            st.sampled_from([BOX, (0.0, 0.0, 9.0, 9.0)]),
        )
    )
)
def test_the_last_verdict_counts_and_none_leaves_no_trace(changes: list[Change]) -> None:
    last: dict[Any, str] = {}
    for each in changes:
        key = (each.kind, each.image_id, each.box)
        last.pop(key, None)
        if each.verdict is not None:
            last[key] = each.verdict
    found = apply(Decisions(), changes)
    flat: dict[Any, str] = {("image", key, None): verdict for key, verdict in found.images.items()}
    flat |= {("reference", key, None): verdict for key, verdict in found.references.items()}
    flat |= {("box", key, each.box): each.verdict for key, some in found.boxes.items() for each in some}
    assert flat == last
    assert all(found.boxes.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"version":2}',
        '{"extra":1}',
        '{"images":{"../x":"rejected"}}',
        f'{{"images":{{"{A}":"maybe"}}}}',
        f'{{"boxes":{{"{A}":[{{"box":[0,0,1e999,1],"verdict":"rejected"}}]}}}}',
        "\udcff",
    ],
)
def test_a_damaged_review_is_refused_and_stays(workspace: Storage, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    workspace.at(FOLDER).write(FILE, data)
    with pytest.raises(UserError, match=r"review .* is damaged"):
        read_decisions(workspace)
    with pytest.raises(UserError, match="damaged"):
        save_changes(workspace, [change(A, "image", "accepted")])
    assert workspace.at(FOLDER).read(FILE) == data


corner = st.integers(0, 30)
boxes = st.tuples(corner, corner, corner, corner).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]) + 1, max(b[1], b[3]) + 1)
)


@given(boxes, boxes)
def test_overlap_is_that_of_the_pixels(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    masks = np.zeros((2, 32, 32), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, (a, b), strict=True):
        mask[y0:y1, x0:x1] = True
    assert overlap(a, b) == pytest.approx((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_a_verdict_follows_a_box_that_moves_a_little_and_no_other() -> None:
    decided = [BoxDecision(box=BOX, verdict="rejected")]
    assert verdict_on(BOX, decided) == "rejected"
    assert verdict_on((11.0, 10.0, 51.0, 52.0), decided) == "rejected"
    assert verdict_on((10.0, 10.0, 50.0, 70.0), decided) is None
    assert verdict_on((60.0, 60.0, 90.0, 90.0), decided) is None


def test_the_box_itself_counts_more_than_one_beside_it() -> None:
    near: Corners = (10.0, 10.0, 50.0, 52.0)
    kept = BoxDecision(box=BOX, verdict="accepted")
    gone = BoxDecision(box=near, verdict="rejected")
    for decided in ([kept, gone], [gone, kept]):
        assert verdict_on(BOX, decided) == "accepted"
        assert verdict_on(near, decided) == "rejected"


def test_rejected_images_and_boxes_are_left_out_and_nothing_else() -> None:
    other: Corners = (60.0, 60.0, 90.0, 90.0)
    rows = [row(A, BOX), row(B, BOX, other), row(C, other)]
    decisions = apply(
        Decisions(),
        [change(A, "image", "rejected"), change(B, "box", "rejected", BOX), change(C, "image", "accepted")],
    )
    found = left_out(decisions, rows)
    assert found.document() == {"images": [A], "boxes": {B: [list(BOX)]}}
    assert found.kept(rows) == [row(B, other), row(C, other)]
    assert found.count == 1


def test_only_what_is_left_out_decides_the_digest() -> None:
    rows = [row(A, BOX), row(B, BOX)]
    base = left_out(apply(Decisions(), [change(A, "image", "rejected")]), rows)
    without_effect = [change(B, "image", "accepted"), change(C, "image", "rejected")]
    without_effect += [change(A, "reference", "rejected"), change(B, "box", "rejected", (0.0, 0.0, 5.0, 5.0))]
    same = left_out(apply(Decisions(), [change(A, "image", "rejected"), *without_effect]), rows)
    more = left_out(
        apply(Decisions(), [change(A, "image", "rejected"), change(B, "box", "rejected", BOX)]), rows
    )
    assert same.digest == base.digest
    assert more.digest != base.digest
    assert not left_out(apply(Decisions(), without_effect), rows)


def test_corners_belong_to_boxes_alone() -> None:
    for wrong in ({"kind": "box"}, {"kind": "image", "box": BOX}, {"kind": "box", "box": (0, 0, -1, 5)}):
        with pytest.raises(ValueError, match="validation error"):
            Change.model_validate({"image_id": A, **wrong})


def test_boxes_beyond_the_most_are_refused_whole_and_fewer_saved(workspace: Storage) -> None:
    def sent(number: int, verdict: str | None = "accepted") -> Change:
        return change(A, "box", verdict, (0.0, 0.0, 1.0 + number, 1.0))

    save_changes(workspace, [sent(number) for number in range(MOST_BOXES)])
    before = workspace.at(FOLDER).read(FILE)
    with pytest.raises(UserError, match=r"At most 1,000 boxes of one image .* would have 1,001; nothing was"):
        save_changes(workspace, [change(B, "image", "accepted"), sent(MOST_BOXES)])
    assert workspace.at(FOLDER).read(FILE) == before
    save_changes(workspace, [sent(MOST_BOXES), sent(0, None)])  # the last of a batch decides
    found = read_decisions(workspace)
    assert found is not None
    assert len(found.boxes[A]) == MOST_BOXES


def test_a_review_that_could_not_be_read_again_is_not_written(
    workspace: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_changes(workspace, [change(A, "image", "accepted")])
    before = workspace.at(FOLDER).read(FILE)
    monkeypatch.setattr("pipelines.review.decisions.MAX_BYTES", len(before))
    with pytest.raises(UserError, match=r"would grow beyond .*nothing was saved"):
        save_changes(workspace, [change(B, "image", "accepted")])
    assert workspace.at(FOLDER).read(FILE) == before
