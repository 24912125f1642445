"""The viewer finds the maps that the config means, and says when it shows others."""

from pathlib import Path

import pytest

from benchmarks.review_page import CORPUS, MAPS, write_workspace
from cluster.errors import UserError
from cluster.stages.stage import RECORD
from cluster.storage.storage import Storage
from pipelines.corpus.section import CorpusSection
from pipelines.maps.section import MapsSection
from pipelines.review.stored_maps import find_maps

SECTION, SOURCES = MapsSection(), CorpusSection(root="/photos")


@pytest.fixture
def workspace(tmp_path: Path) -> Storage:
    """Two complete maps, the older of the default config, and an unfinished one."""
    storage = Storage.open(str(tmp_path))
    corpus = {"fingerprint": CORPUS, "config": SOURCES.dump(), "inputs": {}, "started": "1"}
    storage.at("corpus", CORPUS[:16]).write_json(RECORD, corpus)
    for name, started, config in (("a", "2026-01-01", SECTION.deciding), ("b", "2026-02-01", {})):
        record = {
            "fingerprint": name * 64,
            "config": config,
            "inputs": {"corpus": CORPUS},
            "started": started,
        }
        storage.at("maps", name * 16).write_json(RECORD, record)
    storage.at("maps", "c" * 16).create()
    return storage


def test_the_maps_of_the_config_are_preferred(workspace: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_maps(workspace, SECTION, SOURCES).record["fingerprint"] == "a" * 64
    assert capsys.readouterr().err == ""


def test_others_are_shown_with_a_word(workspace: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    other = MapsSection.model_validate({"kead": {"shots": 1}})
    assert find_maps(workspace, other, SOURCES).record["fingerprint"] == "b" * 64
    assert "no maps of exactly this config" in capsys.readouterr().err
    assert find_maps(workspace, SECTION, CorpusSection(root="/x")).record["fingerprint"] == "a" * 64
    assert "no maps of exactly this config" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["content", "published"])
def test_the_corpus_is_compared_as_it_is_stored(
    workspace: Storage, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    """A corpus that is split by content stores no word on it."""
    wanted = CorpusSection.model_validate({"root": "/photos", "split": split})
    stored = {"fingerprint": CORPUS, "config": wanted.dump(), "inputs": {}, "started": "1"}
    workspace.at("corpus", CORPUS[:16]).write_json(RECORD, stored)
    find_maps(workspace, SECTION, wanted)
    assert capsys.readouterr().err == ""


def test_a_fingerprint_chooses(workspace: Storage) -> None:
    assert find_maps(workspace, SECTION, SOURCES, "bb").record["fingerprint"] == "b" * 64
    for wrong in ("c", "", "x"):
        with pytest.raises(UserError, match="bbbbbbbbbbbbbbbb, aaaaaaaaaaaaaaaa"):
            find_maps(workspace, SECTION, SOURCES, wrong)


def test_no_maps_and_damaged_records(tmp_path: Path, workspace: Storage) -> None:
    with pytest.raises(UserError, match="has no finished anomaly maps; run agssp maps"):
        find_maps(Storage.open(str(tmp_path / "none")), SECTION, SOURCES)
    for text in (b"{", b"[]", b"{}", b"\xff"):
        workspace.at("maps", "a" * 16).write(RECORD, text)
        with pytest.raises(UserError, match=r"stage\.json is damaged"):
            find_maps(workspace, SECTION, SOURCES)


def test_generated_surfaces_are_found(tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    write_workspace(storage, 10, tmp_path)
    corpus = CorpusSection().model_copy(update={"root": "/w/surfaces/1/images", "layout": "masks"})
    record = {"config": corpus.model_dump(mode="json"), "fingerprint": CORPUS, "inputs": {}, "started": ""}
    storage.at("corpus", CORPUS[:16]).write_json(RECORD, record)
    about = {"config": SECTION.deciding, "fingerprint": MAPS, "inputs": {"corpus": CORPUS}, "started": ""}
    storage.at("maps", MAPS[:16]).write_json(RECORD, about)
    assert find_maps(storage, SECTION, CorpusSection()).maps.path.endswith(MAPS[:16])
