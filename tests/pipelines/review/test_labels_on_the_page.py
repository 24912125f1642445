"""Labelled defects on the review page: drawn beside the pseudo-boxes, compared with them, and filtered by."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.chromium import Tab, chromium_program, chromium_tab
from benchmarks.review_page import SHOWN, open_gallery, serving, write_workspace
from cluster.storage.storage import Storage
from pipelines.review.gallery import Gallery

Box = list[float]
GOOD, MET, MISSED, PARTLY, IGNORED = range(5, 10)  # images with labels; no other of the 40 has any


def iou(a: Box, b: Box) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return shared / (areas[0] + areas[1] - shared)


def inside(box: Box, region: Box) -> float:
    shared = max(0.0, min(box[2], region[2]) - max(box[0], region[0]))
    shared *= max(0.0, min(box[3], region[3]) - max(box[1], region[1]))
    return shared / ((box[2] - box[0]) * (box[3] - box[1]))


def compared(found: list[Box], defects: list[Box], ignored: list[Box]) -> dict[str, Any]:
    """The rule, written down plainly."""
    met, wrong = [-1] * len(defects), []
    for place, box in enumerate(found):
        free = [n for n in range(len(defects)) if met[n] < 0 and iou(box, defects[n]) >= 0.5]
        if free:
            met[max(free, key=lambda n: iou(box, defects[n]))] = place
        wrong.append(not free and not any(inside(box, region) >= 0.5 for region in ignored))
    return {"met": met, "wrong": wrong}


def truth(*boxes: Box) -> list[dict[str, Any]]:
    return [dict(zip(("x0", "y0", "x1", "y1"), box, strict=True), label="<b>dent</b>") for box in boxes]


def test_the_document_has_labels_of_labelled_images_alone(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    labels: dict[int, dict[str, Any]] = {
        3: {"boxes": truth([1, 2, 30, 40]), "ignored": truth([0, 0, 9, 9])},
        5: {"boxes": [], "ignored": []},
    }
    write_workspace(storage, 9, tmp_path, labels=labels)
    gallery = open_gallery(storage)
    images = gallery.document()["images"]
    by_id = dict(zip(images["id"], zip(images["defects"], images["ignored"], strict=True), strict=True))
    shown = [by_id[row["image_id"]] for row in sorted(gallery.rows, key=lambda row: row["image_id"])]
    assert shown[3] == ([[1, 2, 30, 40, "<b>dent</b>"]], [[0, 0, 9, 9, "<b>dent</b>"]])
    assert shown[5] == ([], [])
    assert [each for place, each in enumerate(shown) if place not in (3, 5)] == [(None, [])] * 7


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Tab, Gallery]]:
    program = chromium_program()
    if program is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    folder = tmp_path_factory.mktemp("workspace")
    storage = Storage.open(str(folder))
    write_workspace(storage, 40, folder)
    with chromium_tab(program) as tab:
        tab.look(1400, 1000)
        with serving(open_gallery(storage), storage) as server:
            tab.open(server.url)
            tab.wait_for(SHOWN)
            tab.wait_for("(setting('c', 0.8), setting('delta', 0), true)")
            found = tab.evaluate(
                "(async () => { await fetchMaps(images.id.map((_, n) => n)); "
                "return images.id.map((id, n) => [id, boxesOf(n).map(cornersOf)]); })()"
            )
        boxes = {int(image_id, 16): corners for image_id, corners in found}
        far = [600.0, 600.0, 630.0, 630.0]
        labels: dict[int, dict[str, Any]] = {
            GOOD: {"boxes": [], "ignored": []},
            MET: {"boxes": truth(*boxes[MET]), "ignored": []},
            MISSED: {"boxes": truth(far), "ignored": []},
            PARTLY: {"boxes": truth(boxes[PARTLY][0], far), "ignored": []},
            IGNORED: {"boxes": [], "ignored": truth([0.0, 0.0, 640.0, 640.0])},
        }
        write_workspace(storage, 40, folder, labels=labels)
        gallery = open_gallery(storage)
        with serving(gallery, storage) as server:
            tab.open(server.url)
            tab.wait_for(SHOWN)
            tab.wait_for("(setting('c', 0.8), setting('delta', 0), true)")
            yield tab, gallery


@pytest.mark.slow
def test_the_page_compares_as_the_rule_says(page: tuple[Tab, Gallery]) -> None:
    rng = np.random.default_rng(3)
    cases = []
    for _ in range(300):
        counts = rng.integers(0, 6, 3)
        boxes = []
        for count in counts:
            corner, size = rng.integers(0, 12, (count, 2)), rng.integers(3, 12, (count, 2))
            boxes.append(np.concatenate([corner, corner + size], axis=1).astype(float).tolist())
        cases.append(boxes)
    found = page[0].evaluate(f"({json.dumps(cases)}).map(([f, d, i]) => agreement(f, d, i))")
    assert found == [compared(*case) for case in cases]
    assert sum(place >= 0 for each in found for place in each["met"]) > 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "fitting"),
    [
        ("defective", {MET, MISSED, PARTLY}),
        ("good", {GOOD, IGNORED}),
        ("met", {MET}),
        ("missed", {MISSED, PARTLY}),
    ],
)
def test_filters_by_labels(page: tuple[Tab, Gallery], kind: str, fitting: set[int]) -> None:
    tab, gallery = page
    tab.evaluate(f"(at('truth').value = '{kind}', filter())")
    tab.wait_for("at('count').textContent.includes('of')")
    shown = {int(gallery.rows[number]["image_id"], 16) for number in tab.evaluate("shown")}
    assert shown == fitting


@pytest.mark.slow
def test_false_boxes_are_those_that_no_label_explains(page: tuple[Tab, Gallery]) -> None:
    tab, gallery = page
    tab.evaluate("(at('truth').value = 'false', filter())")
    tab.wait_for("at('count').textContent.includes('of')")
    shown = {int(gallery.rows[number]["image_id"], 16) for number in tab.evaluate("shown")}
    assert {GOOD, MISSED} <= shown <= {GOOD, MISSED, PARTLY}
    assert IGNORED not in shown


@pytest.mark.slow
def test_defects_are_drawn_in_their_own_colour_and_named(page: tuple[Tab, Gallery]) -> None:
    tab, gallery = page
    tab.evaluate("(at('truth').value = 'defective', filter())")
    tab.wait_for("tiles.length === 3 && tiles.every(t => t.truth.textContent && t.boxes.textContent)")
    told = {
        int(gallery.rows[number]["image_id"], 16): text
        for number, text in tab.evaluate("tiles.map(t => [t.number, t.truth.textContent])")
    }
    assert "0 of 1 defects met" in told[MISSED]
    assert "1 of 2 defects met" in told[PARTLY]
    colours = tab.evaluate(
        "['.truth.missed', '.truth.met', '.found:not(.shade)'].map(kind => "
        "getComputedStyle(document.querySelector(`#grid svg ${kind}`)).stroke)"
    )
    assert colours[0] == colours[1] == "rgb(56, 214, 255)"
    assert colours[2] == "rgb(255, 216, 77)"
    place = tab.evaluate(f"shown.findIndex(n => parseInt(images.id[n], 16) === {PARTLY})")
    tab.evaluate(f"enlarge({place})")
    tab.wait_for("at('large-truth').textContent.includes('met by box 1')")
    assert "<b>dent</b>" in tab.evaluate("at('large-truth').textContent")
    if picture := os.environ.get("AGSSP_TEST_PICTURE"):
        Path(picture).write_bytes(base64.b64decode(tab.call("Page.captureScreenshot")["data"]))
    tab.evaluate("at('large').close()")
    if picture:
        Path(picture + ".tiles.png").write_bytes(base64.b64decode(tab.call("Page.captureScreenshot")["data"]))
    tab.press("l")
    assert tab.evaluate("getComputedStyle(document.querySelector('#grid svg .truth')).display") == "none"
    tab.press("l")
