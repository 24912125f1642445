"""The page's order of images to label: the newest complete choice from the maps that are shown."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.chromium import chromium_program, chromium_tab
from benchmarks.review_page import CORPUS, MAPS, SHOWN, open_gallery, serving, write_workspace
from cluster.errors import UserError
from cluster.stages import RECORD
from cluster.storage.storage import Storage
from pipelines.boxes.section import PseudoBoxSettings
from pipelines.choice.stored import newest_choice
from pipelines.review.gallery import Gallery

IMAGES = 60
HOSTILE = 'map score 1.2; <img src=x onerror="window.stolen=1">'


def write_choice(storage: Storage, name: str, image_ids: list[str], started: str, **record: Any) -> None:
    rows = [
        {"image_id": image_id, "place": place, "reason": HOSTILE}
        for place, image_id in enumerate(image_ids, start=1)
    ]
    folder = storage.at("next", name)
    folder.write_table("next.parquet", pa.Table.from_pylist(rows))
    folder.write_json(RECORD, {"started": started, "inputs": {"maps": MAPS}, **record})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage.open(str(tmp_path))
    write_workspace(storage, IMAGES, tmp_path)
    return storage


def chosen_gallery(storage: Storage) -> Gallery:
    corpus = storage.at("corpus", CORPUS[:16])
    return Gallery(storage.at("maps", MAPS[:16]), corpus, PseudoBoxSettings(), newest_choice(storage, MAPS))


def test_the_newest_complete_choice_of_these_maps_counts(storage: Storage) -> None:
    ids = [row["image_id"] for row in open_gallery(storage).rows]
    assert newest_choice(storage, MAPS) == {}
    write_choice(storage, "a", ids[:3], "2026-01-02T00:00:00+00:00")
    write_choice(storage, "b", ids[9:4:-1], "2026-01-03T00:00:00+00:00")
    write_choice(storage, "c", ids[:1], "2026-01-04T00:00:00+00:00", inputs={"maps": "of others"})
    storage.at("next", "d").write_table("next.parquet", pa.table({"image_id": ids[:1]}))  # not complete
    images = chosen_gallery(storage).document()["images"]
    places = dict(zip(images["id"], images["to_label"], strict=True))
    expected = {one: place for place, one in enumerate(ids[9:4:-1], start=1)}
    assert {one: place[0] for one, place in places.items() if place is not None} == expected


def test_a_damaged_record_is_told(storage: Storage) -> None:
    storage.at("next", "a").write(RECORD, b"[]")
    with pytest.raises(UserError, match="is damaged; delete"):
        newest_choice(storage, MAPS)


@pytest.mark.slow
def test_the_page_has_order_filter_and_reason(storage: Storage) -> None:
    program = chromium_program()
    if program is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    ids = [row["image_id"] for row in open_gallery(storage).rows]
    wanted = [ids[40], ids[3], ids[17]]
    with serving(open_gallery(storage), storage) as server, chromium_tab(program) as tab:
        tab.open(server.url)
        tab.wait_for(SHOWN)
        offered = "document.querySelectorAll('option[value=\"to-label\"]:not([hidden])').length"
        assert tab.evaluate(offered) == 0
    write_choice(storage, "a", wanted, "2026-01-02T00:00:00+00:00")
    with serving(chosen_gallery(storage), storage) as server, chromium_tab(program) as tab:
        tab.open(server.url)
        tab.wait_for(SHOWN)
        choose = "at('ID').value = 'to-label'; at('ID').dispatchEvent(new Event('change'));"
        tab.evaluate(choose.replace("ID", "order"))
        assert tab.evaluate("shown.length") == IMAGES
        assert tab.evaluate("shown.slice(0, 3).map((n) => images.id[n])") == wanted
        tab.evaluate(choose.replace("ID", "state"))
        assert tab.evaluate("shown.map((n) => images.id[n])") == wanted
        badge = "[...tiles[0].element.querySelectorAll('.badge')].map((each) => each.textContent)"
        assert "label 1" in tab.evaluate(badge)
        tab.evaluate("enlarge(0)")
        assert HOSTILE in tab.evaluate("at('large-facts').textContent")
        assert tab.evaluate("window.stolen ?? 0") == 0
